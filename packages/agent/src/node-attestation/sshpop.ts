/** Attestation by the SSH host certificate of this node: shows it, and proves that the key is here. */
import { randomBytes } from 'node:crypto';
import { exportSpki } from '@bonafide/shared/crypto/private-key-encoding';
import { readSshKeyLine } from '@bonafide/shared/crypto/ssh/authorized-keys';
import { parseSshCertificate } from '@bonafide/shared/crypto/ssh/ssh-certificate';
import { parseSshPrivateKey } from '@bonafide/shared/crypto/ssh/ssh-private-key';
import { signForSsh } from '@bonafide/shared/crypto/ssh/ssh-signature';
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import {
  formatSshPopAnswer,
  formatSshPopEvidence,
  NONCE_BYTES,
  parseSshPopChallenge,
  sshPopSignedData,
} from '@bonafide/shared/node-attestation/sshpop-messages';
import { z } from 'zod';
import { loadTextFile } from './load-file.js';
import type { NodeAttestorPlugin } from './node-attestor.js';

const filePath = z.string().min(1);

const configSchema = z.strictObject({
  host_key_path: filePath.default('/etc/ssh/ssh_host_rsa_key'),
  host_cert_path: filePath.default('/etc/ssh/ssh_host_rsa_key-cert.pub'),
});

/** The files are read at each attestation, so that what was renewed counts. */
export const sshpop: NodeAttestorPlugin<z.infer<typeof configSchema>> = {
  configSchema,
  create: ({ host_key_path: keyPath, host_cert_path: certificatePath }) => ({
    type: 'sshpop',
    isSpent: false,
    async attest(exchange) {
      const privateKey = await loadTextFile(keyPath, parseSshPrivateKey);
      const certificate = await loadTextFile(certificatePath, (text) =>
        parseSshCertificate(readSshKeyLine(text)),
      );
      if (!exportSpki(privateKey).equals(exportSpki(certificate.key))) {
        throw new BonafideError(
          'failed_precondition',
          `the key in ${keyPath} is not that of the certificate in ${certificatePath}`,
        );
      }
      const message = await exchange.send(formatSshPopEvidence(certificate.blob));
      if (message === undefined) {
        throw new BonafideError('internal', 'the server took a certificate without a proof of its key');
      }
      const nonce = randomBytes(NONCE_BYTES);
      const signed = sshPopSignedData(parseSshPopChallenge(message), nonce);
      const signature = signForSsh(certificate.keyType, privateKey, signed);
      if ((await exchange.send(formatSshPopAnswer({ nonce, signature }))) !== undefined) {
        throw new BonafideError('internal', 'the server sent a second challenge');
      }
    },
  }),
};
