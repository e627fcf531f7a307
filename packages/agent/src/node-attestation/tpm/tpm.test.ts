import { createHash, randomBytes } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { encodePem } from '@bonafide/shared/crypto/pem';
import { createLogger, silentLogger, type Logger } from '@bonafide/shared/runtime/logger';
import { systemClock } from '@bonafide/shared/runtime/clock';
import { parseTrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';
import { makeCredential } from '@bonafide/shared/tpm/proof/make-credential';
import { TpmDevice } from '@bonafide/shared/tpm/device/tpm-device';
import {
  formatTpmChallenge,
  parseTpmAnswer,
  parseTpmOffer,
  quoteExtraData,
  type TpmAnswer,
  type TpmChallenge,
  type TpmOffer,
} from '@bonafide/shared/tpm/proof/tpm-evidence';
import { parseTpmPublic, tpmName } from '@bonafide/shared/tpm/tpm-public';
import { verifyQuote } from '@bonafide/shared/tpm/proof/verify-quote';
import { createTemporaryDirectory, type TemporaryDirectory } from '@bonafide/testing/temporary-directory';
import { launchSwtpm, swtpmIsInstalled, type Swtpm } from '@bonafide/testing/launch-swtpm';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { NodeAttestor } from '../node-attestor.js';
import { tpm } from './tpm.js';

const PCRS = [0, 7, 10];
const CSR_HASH = createHash('sha256').update('a CSR').digest();

/** An entry of the kernel's list, whatever its digests are. */
function imaEntry(index: number): Buffer {
  const field = (bytes: Buffer): Buffer => {
    const size = Buffer.alloc(4);
    size.writeUInt32LE(bytes.length);
    return Buffer.concat([size, bytes]);
  };
  const head = Buffer.alloc(24, index);
  head.writeUInt32LE(10);
  return Buffer.concat([
    head.subarray(0, 24),
    field(Buffer.from('ima-ng')),
    field(Buffer.from(`/bin/${index}`)),
  ]);
}

/** The server's half, as far as it shows that what the agent says is worth something. */
class Verifier {
  offer: TpmOffer | undefined;
  readonly answers: TpmAnswer[] = [];
  readonly #secret = randomBytes(32);
  readonly #nonces: Buffer[] = [];
  readonly #challenges: Partial<TpmChallenge>[];
  readonly #boundHash: Buffer;

  constructor(challenges: readonly Partial<TpmChallenge>[], boundHash = CSR_HASH) {
    this.#challenges = [...challenges];
    this.#boundHash = boundHash;
  }

  get akPublic(): ReturnType<typeof parseTpmPublic> {
    return parseTpmPublic(this.offer?.akPublic ?? Buffer.alloc(0));
  }

  /** As `send` of an exchange. */
  hear(data: Buffer): Promise<Buffer | undefined> {
    if (this.offer === undefined) this.offer = parseTpmOffer(data);
    else {
      const answer = parseTpmAnswer(data);
      this.answers.push(answer);
      const extraData = quoteExtraData(this.#nonces.at(-1) ?? Buffer.alloc(0), this.#boundHash);
      for (const { attest, bank, pcrs, signature } of answer.quotes) {
        verifyQuote({ ak: this.akPublic, attest, signature, extraData, bank, pcrs: PCRS, values: pcrs });
      }
    }
    return Promise.resolve(this.next());
  }

  next(): Buffer | undefined {
    const asked = this.#challenges.shift();
    if (asked === undefined || this.offer === undefined) return undefined;
    const nonce = randomBytes(32);
    this.#nonces.push(nonce);
    const credential =
      this.answers.length > 0
        ? {}
        : makeCredential(parseTpmPublic(this.offer.ekPublic), tpmName(this.akPublic), this.#secret);
    return formatTpmChallenge({
      nonce,
      ...credential,
      banks: ['sha256'],
      pcrs: PCRS,
      wantsEventLog: false,
      ...asked,
    });
  }

  get hasActivated(): boolean {
    return this.answers[0]?.activated?.equals(this.#secret) === true;
  }
}

describe.skipIf(!swtpmIsInstalled())('the tpm attestor, with a software TPM (swtpm)', () => {
  let swtpm: Swtpm;
  let directory: TemporaryDirectory;

  beforeAll(async () => {
    directory = createTemporaryDirectory();
    swtpm = await launchSwtpm();
  });

  afterAll(async () => {
    await swtpm.stop();
    directory.remove();
  });

  function attestor(config: Readonly<Record<string, string>> = {}, log: Logger = silentLogger): NodeAttestor {
    const own = {
      device: swtpm.path,
      event_log_path: directory.join('no-log'),
      ima_list_path: directory.join('no-list'),
    };
    return tpm.create(tpm.configSchema.parse({ ...own, ...config }), {
      trustDomain: parseTrustDomain('example.org'),
      joinToken: undefined,
      clock: systemClock,
      log,
    });
  }

  const attest = (node: NodeAttestor, verifier: Verifier): Promise<void> =>
    node.attest({ csrHash: CSR_HASH, send: (data) => verifier.hear(data) });

  it('proves which TPM it has, and quotes for the key that is being certified', async () => {
    const verifier = new Verifier([{}]);
    await attest(attestor(), verifier);
    expect(verifier.hasActivated).toBe(true);
    expect(verifier.offer?.ekCertificate).toBeDefined();
    expect(verifier.answers[0]?.quotes.map(({ bank }) => bank)).toEqual(['sha256']);
    expect(verifier.answers[0]?.activeBanks).toContain('sha256');
  });

  it('is the same after a restart of agent and machine, and keeps nothing on disk', async () => {
    const before = new Verifier([{}]);
    await attest(attestor(), before);
    await swtpm.restart();
    const after = new Verifier([{}]);
    await attest(attestor(), after);
    expect(after.offer).toEqual(before.offer);
  });

  it('answers a second challenge with what the server asks for then', async () => {
    await writeFile(directory.join('log'), 'a boot log');
    const verifier = new Verifier([{}, { wantsEventLog: true }]);
    await attest(attestor({ event_log_path: directory.join('log') }), verifier);
    expect(verifier.answers.map(({ eventLog }) => eventLog?.toString())).toEqual([undefined, 'a boot log']);
  });

  it('proves itself again for the certificate that it has, without a credential', async () => {
    const node = attestor();
    const first = new Verifier([{}]);
    await attest(node, first);
    const certificateHash = createHash('sha256').update('a certificate').digest();
    const verifier = new Verifier([{}, {}], certificateHash);
    verifier.offer = first.offer;
    const challenge = verifier.next() ?? Buffer.alloc(0);
    await node.prove?.({ certificateHash, challenge, send: (data) => verifier.hear(data) });
    expect(verifier.answers).toHaveLength(2);
  });

  it('sends whole entries of the IMA list from where the server is, and no more than there is room for', async () => {
    const entries = Array.from({ length: 60_000 }, (_, index) => imaEntry(index % 256));
    const list = Buffer.concat(entries);
    // The kernel is in the middle of an entry.
    await writeFile(directory.join('ima'), Buffer.concat([list, imaEntry(1).subarray(0, 30)]));
    const node = attestor({ ima_list_path: directory.join('ima') });
    const small = new Verifier([{ imaFrom: 59_998 }]);
    await attest(node, small);
    expect(small.answers[0]?.ima).toEqual({ from: 59_998, list: Buffer.concat(entries.slice(59_998)) });

    await writeFile(directory.join('ima'), Buffer.concat([list, list]));
    const large = new Verifier([{ imaFrom: 0 }]);
    await attest(node, large);
    const sent = large.answers[0]?.ima?.list ?? Buffer.alloc(0);
    expect(sent.length).toBeGreaterThan(2.5 * 1024 * 1024);
    expect(sent.length).toBeLessThan(2 * list.length);
    expect(Buffer.concat([list, list]).subarray(0, sent.length).equals(sent)).toBe(true);
    // It ends where an entry does.
    let end = 0;
    for (let index = 0; end < sent.length; index += 1) end += entries[index % entries.length]?.length ?? 1;
    expect(end).toBe(sent.length);
  });

  it('goes without a log that is not there, and says so once', async () => {
    const file = directory.join('agent.log');
    const log = createLogger({ level: 'info', format: 'json', file });
    const node = attestor({}, log);
    const verifier = new Verifier([
      { wantsEventLog: true, imaFrom: 0 },
      { wantsEventLog: true, imaFrom: 0 },
    ]);
    await attest(node, verifier);
    expect(verifier.answers).toHaveLength(2);
    for (const answer of verifier.answers) {
      expect(answer.eventLog).toBeUndefined();
      expect(answer.ima).toBeUndefined();
    }
    const lines = (await readFile(file, 'utf8')).split('\n');
    expect(lines.filter((line) => line.includes('boot log'))).toHaveLength(1);
    expect(lines.filter((line) => line.includes('IMA list'))).toHaveLength(1);
  });

  it('takes an empty log for none, and leaves out one that is longer than any', async () => {
    for (const content of [Buffer.alloc(0), Buffer.alloc(2 * 1024 * 1024 + 1)]) {
      await writeFile(directory.join('odd-log'), content);
      const verifier = new Verifier([{ wantsEventLog: true }]);
      await attest(attestor({ event_log_path: directory.join('odd-log') }), verifier);
      expect(verifier.answers[0]?.eventLog).toBeUndefined();
    }
  });

  it('says what to do when no bank that is asked for is active', async () => {
    const verifier = new Verifier([{ banks: ['sha512'] }]);
    await expect(attest(attestor(), verifier)).rejects.toThrow(
      /PCRs of sha512.*active banks.*tpm2_pcrallocate/,
    );
  });

  it('refuses a credential that is not for it, and a challenge without end', async () => {
    const foreign = { credential: Buffer.alloc(66, 1), secret: Buffer.alloc(256, 1) };
    await expect(attest(attestor(), new Verifier([foreign]))).rejects.toThrow(/the TPM refused/);
    const endless = new Verifier(Array.from({ length: 6 }, () => ({})));
    await expect(attest(attestor(), endless)).rejects.toThrow(/more than 4 challenges/);
    expect(endless.answers).toHaveLength(4);
    await expect(
      attestor().attest({ csrHash: CSR_HASH, send: () => Promise.resolve(undefined) }),
    ).rejects.toThrow(/satisfied before/);
  });

  it('leaves the TPM to others between proofs, and takes turns with itself', async () => {
    const node = attestor();
    const verifiers = [new Verifier([{}]), new Verifier([{}]), new Verifier([{}])];
    await Promise.all(verifiers.map((verifier) => attest(node, verifier)));
    expect(verifiers.every(({ hasActivated }) => hasActivated)).toBe(true);
    await using device = await TpmDevice.open({ path: swtpm.path });
    expect((await device.properties()).manufacturer).toBe('IBM');
  });

  it('takes the certificate of its TPM from a file, and no other', async () => {
    await using device = await TpmDevice.open({ path: swtpm.path });
    const { certificate = Buffer.alloc(0) } = await device.endorsementKey();
    await device.close();
    const [issuer = Buffer.alloc(0)] = swtpm.ekRoots;
    const path = directory.join('ek.pem');
    await writeFile(path, encodePem('CERTIFICATE', certificate) + encodePem('CERTIFICATE', issuer));
    const verifier = new Verifier([{}]);
    await attest(attestor({ ek_certificate_path: path }), verifier);
    expect(verifier.offer?.ekCertificate).toEqual(certificate);
    expect(verifier.offer?.ekChain).toEqual([issuer]);

    for (const content of [issuer, Buffer.from('hello'), Buffer.alloc(0)]) {
      await writeFile(path, content);
      await expect(attest(attestor({ ek_certificate_path: path }), new Verifier([{}]))).rejects.toThrow(
        /ek_certificate_path/,
      );
    }
    expect((await readFile(path)).length).toBe(0);
  });

  it('says what to do when there is no TPM, and does not blame the server', async () => {
    const absent = attestor({ device: '/dev/tpmrm9' });
    await expect(attest(absent, new Verifier([{}]))).rejects.toMatchObject({
      reason: 'failed_precondition',
      message: expect.stringMatching(/no TPM at \/dev\/tpmrm9.*firmware/) as string,
    });
    const wrongPassword = attestor({ endorsement_auth_file: directory.join('nothing') });
    await expect(attest(wrongPassword, new Verifier([{}]))).rejects.toThrow(/endorsement_auth_file/);
  });

  it('refuses what is no TPM in the configuration', () => {
    expect(() => tpm.configSchema.parse({ device: 'tpm0' })).toThrow(/no path of a TPM/);
    expect(tpm.configSchema.parse({})).toMatchObject({ device: '/dev/tpmrm0' });
  });
});
