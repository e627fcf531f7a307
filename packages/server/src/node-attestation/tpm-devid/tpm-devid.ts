/** Attestation by a DevID: a certificate over a key that was made in the node's TPM, and proof that it is there (IEEE 802.1AR). Wire, IDs and selectors are SPIRE's. */
import { randomBytes } from 'node:crypto';
import { verifyCertificatePath, type CertificatePath } from '@bonafide/shared/crypto/verify-certificate-path';
import { BonafideError, invalidArgument } from '@bonafide/shared/errors/bonafide-error';
import {
  DEVID_NONCE_BYTES,
  formatDevIdChallenge,
  parseDevIdAnswer,
  parseDevIdEvidence,
} from '@bonafide/shared/node-attestation/tpm-devid-messages';
import { agentId } from '@bonafide/shared/spiffe-id/spiffe-id';
import { isDevIdSignature } from '@bonafide/shared/tpm/proof/devid-signature';
import { areSameBytes } from '@bonafide/shared/tpm/same-bytes';
import { z } from 'zod';
import type { NodeAttestorPlugin } from '../node-attestor.js';
import { watchAuthorities } from '../read-authorities.js';
import { challengeResidency } from './devid-residency.js';
import { devIdSelectors, fingerprint } from './devid-selectors.js';

const configSchema = z.strictObject({
  /** PEM: who certifies DevIDs. */
  devid_ca_path: z.string().min(1),
  /** PEM: the makers of TPMs, and between them and their TPMs whoever certifies EKs, for agents send no chain. */
  endorsement_ca_path: z.string().min(1),
});

type TpmDevIdConfig = z.output<typeof configSchema>;

export const tpmDevId: NodeAttestorPlugin<TpmDevIdConfig> = {
  configSchema,
  async create(config, host) {
    const devIdRoots = await watchAuthorities(config.devid_ca_path, host);
    const ekRoots = await watchAuthorities(config.endorsement_ca_path, host);
    return {
      async attest({ payload, now, challenge }) {
        const { certificates, ...evidence } = parseDevIdEvidence(payload);
        const { leaf, path } = verifyDevId(certificates, await devIdRoots.current(), now);
        const { credential, secret } = challengeResidency({
          ...evidence,
          devId: leaf,
          ekRoots: await ekRoots.current(),
          now,
        });
        const nonce = randomBytes(DEVID_NONCE_BYTES);
        const answer = parseDevIdAnswer(await challenge(formatDevIdChallenge({ nonce, credential })));
        if (!areSameBytes(answer.activated, secret)) {
          throw refused('credential activation failed: it was not opened by the TPM that it was made for');
        }
        if (!isDevIdSignature(leaf.publicKey, nonce, answer.signature)) {
          throw refused(
            'DevID challenge verification failed: it is not signed by the key of the certificate',
          );
        }
        return {
          agentId: agentId(host.trustDomain, 'tpm_devid', fingerprint(leaf)),
          selectors: devIdSelectors(path),
          canReattest: true,
        };
      },
    };
  },
};

function verifyDevId(
  [leaf = Buffer.alloc(0), ...intermediates]: readonly Buffer[],
  roots: readonly Buffer[],
  now: Date,
): CertificatePath {
  try {
    const verified = verifyCertificatePath({ leaf, intermediates, roots, now, allowsVersion1Leaf: true });
    const { isCa, keyUsages } = verified.leaf;
    if (isCa) throw invalidArgument('it is the certificate of an authority');
    if (keyUsages?.has('digitalSignature') === false)
      throw invalidArgument('it lacks the key usage digitalSignature');
    return verified;
  } catch (error) {
    if (!(error instanceof BonafideError)) throw error;
    throw new BonafideError('permission_denied', `DevID certificate refused: ${error.message}`, {
      cause: error,
    });
  }
}

function refused(message: string): BonafideError {
  return new BonafideError('permission_denied', message);
}
