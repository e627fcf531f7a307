import { randomBytes, X509Certificate } from 'node:crypto';
import { launchSwtpm, swtpmIsInstalled, type Swtpm } from '@bonafide/testing/launch-swtpm';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { certifyKey, signDigest } from './commands/attestation.js';
import { readHandles } from './commands/capability.js';
import { createKey, createPrimary, loadKey } from './commands/objects.js';
import { extendPcr } from './commands/pcrs.js';
import { ekHash } from './ek-hash.js';
import { ATTESTATION_TEMPLATE, encodeKeyTemplate, STORAGE_TEMPLATE } from './key-template.js';
import { makeCredential } from './make-credential.js';
import { TpmDevice } from './tpm-device.js';
import { parseTpmPublic, publicKeyOf, tpmName } from './tpm-public.js';
import { verifyCertify } from './verify-certify.js';
import { verifyQuote } from './verify-quote.js';

const TRANSIENT = 0x80000000;
const SESSION = 0x02000000;
const why = swtpmIsInstalled() ? '' : ' (skipped: swtpm is not installed)';

describe.skipIf(!swtpmIsInstalled())(`a software TPM${why}`, () => {
  let swtpm: Swtpm;
  beforeAll(async () => {
    swtpm = await launchSwtpm();
  }, 180_000);
  afterAll(async () => {
    await swtpm.stop();
  });

  it('opens what was made for its endorsement key and its attestation key', async () => {
    await using tpm = await TpmDevice.open({ path: swtpm.path });
    const ek = await tpm.endorsementKey();
    const certificate = new X509Certificate(ek.certificate ?? Buffer.alloc(0));
    expect(ekHash(certificate.publicKey)).toBe(ekHash(publicKeyOf(ek.public)));
    const secret = randomBytes(32);
    const made = makeCredential(ek.public, tpmName(await tpm.attestationKey()), secret);
    expect(await tpm.activate(made.credential, made.secret)).toEqual(secret);
  });
});
