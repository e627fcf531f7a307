/** Attestation by a certificate that the node has from elsewhere: shows it, and proves that the key is here. */
import { randomBytes } from 'node:crypto';
import { decodePem } from '@bonafide/shared/crypto/pem';
import { provePossession } from '@bonafide/shared/crypto/possession-proof';
import { exportSpki } from '@bonafide/shared/crypto/private-key-encoding';
import { parsePrivateKeyPem } from '@bonafide/shared/crypto/private-key-pem';
import { parseX509Certificate } from '@bonafide/shared/crypto/x509-certificate';
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import {
  formatX509PopAnswer,
  formatX509PopEvidence,
  NONCE_BYTES,
  parseX509PopChallenge,
} from '@bonafide/shared/node-attestation/x509pop-messages';
import { z } from 'zod';
import { loadTextFile } from './load-file.js';
import type { NodeAttestorPlugin } from './node-attestor.js';

const filePath = z.string().min(1);

const configSchema = z.strictObject({
  /** PEM: PKCS#8, PKCS#1 or SEC 1. */
  private_key_path: filePath,
  /** PEM, the node's own certificate first. */
  certificate_path: filePath,
  intermediates_path: filePath.optional(),
});

/** The files are read at each attestation, so that what was renewed counts. */
export const x509pop: NodeAttestorPlugin<z.infer<typeof configSchema>> = {
  configSchema,
  create: (config) => ({
    type: 'x509pop',
    isSpent: false,
    async attest(exchange) {
      const privateKey = await loadTextFile(config.private_key_path, parsePrivateKeyPem);
      const certificates = await loadTextFile(config.certificate_path, readCertificates);
      const intermediates =
        config.intermediates_path === undefined
          ? []
          : await loadTextFile(config.intermediates_path, readCertificates);
      const [own = Buffer.alloc(0)] = certificates;
      if (!parseX509Certificate(own).subjectPublicKey.spki.equals(exportSpki(privateKey))) {
        throw new BonafideError(
          'failed_precondition',
          `the key in ${config.private_key_path} is not that of the first certificate in ${config.certificate_path}`,
        );
      }
      const message = await exchange.send(formatX509PopEvidence([...certificates, ...intermediates]));
      if (message === undefined) {
        throw new BonafideError('internal', 'the server took a certificate without a proof of its key');
      }
      const challenge = parseX509PopChallenge(message);
      const nonce = randomBytes(NONCE_BYTES);
      const proof = provePossession(privateKey, Buffer.concat([challenge.nonce, nonce]));
      if (proof.kind !== challenge.kind) {
        throw new BonafideError('internal', 'the server asked for a signature by another kind of key');
      }
      if ((await exchange.send(formatX509PopAnswer({ nonce, proof }))) !== undefined) {
        throw new BonafideError('internal', 'the server sent a second challenge');
      }
    },
  }),
};

function readCertificates(text: string): readonly Buffer[] {
  return decodePem('CERTIFICATE', text);
}
