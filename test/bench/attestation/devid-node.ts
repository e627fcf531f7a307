/** A node whose owner certified a key in its software TPM. */
import { writeFileSync } from 'node:fs';
import type { NodeAttestor } from '@bonafide/agent/node-attestation/node-attestor';
import { encodePem } from '@bonafide/shared/crypto/pem';
import type { Swtpm } from '@bonafide/testing/launch-swtpm';
import { provisionDevId } from '@bonafide/testing/provision-devid';
import type { TemporaryDirectory } from '@bonafide/testing/temporary-directory';
import { createTestParty } from '@bonafide/testing/test-party';
import { agentHalf } from './fleet.js';

interface DevIdNode {
  /** Of the server's half, without the roots of EK certificates. */
  readonly config: { readonly devid_ca_path: string };
  readonly attestor: NodeAttestor;
}

export async function devIdNode(swtpm: Swtpm, directory: TemporaryDirectory): Promise<DevIdNode> {
  const issuer = await createTestParty({ name: 'owner', isCa: true });
  const { certificate, privateBlob, publicBlob } = await provisionDevId(swtpm.path, { type: 'ecc', issuer });
  const authorities = directory.join('devid-ca.pem');
  writeFileSync(authorities, encodePem('CERTIFICATE', issuer.certificate));
  writeFileSync(directory.join('devid.pem'), encodePem('CERTIFICATE', certificate));
  writeFileSync(directory.join('devid.priv'), privateBlob, { mode: 0o600 });
  writeFileSync(directory.join('devid.pub'), publicBlob);
  return {
    config: { devid_ca_path: authorities },
    attestor: agentHalf({
      tpm_devid: {
        devid_cert_path: directory.join('devid.pem'),
        devid_priv_path: directory.join('devid.priv'),
        devid_pub_path: directory.join('devid.pub'),
        tpm_device_path: swtpm.path,
      },
    }),
  };
}
