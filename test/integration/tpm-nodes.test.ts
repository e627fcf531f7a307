/** Nodes that prove their TPM to a whole server over TLS: two that claim one TPM, keys that are in none, and a key that operators have forgotten. */
import { createHash, randomBytes } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { createCertificateSigningRequest } from '@bonafide/shared/crypto/certificate-signing-request';
import { generatePrivateKey } from '@bonafide/shared/crypto/generate-key';
import { encodePem } from '@bonafide/shared/crypto/pem';
import { callUnary, openBidiStream } from '@bonafide/shared/rpc/client-call';
import type { ClientIdentity } from '@bonafide/shared/rpc/mutual-tls-channel';
import { ekHash } from '@bonafide/shared/tpm/ek-hash';
import {
  formatTpmAnswer,
  formatTpmOffer,
  parseTpmChallenge,
  quoteExtraData,
  type TpmOffer,
} from '@bonafide/shared/tpm/proof/tpm-evidence';
import { parseTpmPublic, publicKeyOf } from '@bonafide/shared/tpm/tpm-public';
import { ForgedAttestationKey } from '@bonafide/testing/forged-attestation-key';
import { swtpmIsInstalled } from '@bonafide/testing/launch-swtpm';
import { SoftwareNode } from '@bonafide/testing/software-node';
import { createTemporaryDirectory } from '@bonafide/testing/temporary-directory';
import { waitFor } from '@bonafide/testing/wait-for';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { InProcessAgent, OWN_SELECTOR } from './agent-in-process.js';
import { InProcessServer } from './server-in-process.js';

const AGENT = 'spire.api.server.agent.v1.Agent';
const TPM = 'bonafide.attestation.v1.TpmEnrollment';
const LIMIT_MS = 120_000;

type AttestationStream = Awaited<ReturnType<typeof openAttestation>>;

/** One attestation, step by step. */
class Attestation implements Disposable {
  readonly csrHash: Buffer;
  readonly #stream: AttestationStream;
  readonly #privateKey: ClientIdentity['privateKey'];

  private constructor(stream: AttestationStream, csr: Buffer, privateKey: ClientIdentity['privateKey']) {
    this.#stream = stream;
    this.#privateKey = privateKey;
    this.csrHash = createHash('sha256').update(csr).digest();
  }

  static async begin(server: InProcessServer, offer: TpmOffer): Promise<Attestation> {
    const privateKey = await generatePrivateKey('ec-p256');
    const csr = await createCertificateSigningRequest(privateKey);
    const stream = await openAttestation(server);
    await stream.send({
      params: { data: { type: 'tpm', payload: formatTpmOffer(offer) }, params: { csr } },
    });
    return new Attestation(stream, csr, privateKey);
  }

  async challenge(): Promise<Buffer> {
    const { value } = await this.#stream.messages.next();
    if (value?.challenge === undefined) throw new Error('the server sent no challenge');
    return value.challenge;
  }

  send(challengeResponse: Buffer): Promise<unknown> {
    return this.#stream.send({ challengeResponse });
  }

  async svid(): Promise<ClientIdentity> {
    const { value } = await this.#stream.messages.next();
    const certificateChain = value?.result?.svid?.certChain ?? [];
    if (certificateChain.length === 0) throw new Error('the server sent no SVID');
    return { certificateChain, privateKey: this.#privateKey };
  }

  async isOver(): Promise<boolean> {
    const { done } = await this.#stream.messages.next();
    return done === true;
  }

  [Symbol.dispose](): void {
    this.#stream.cancel();
  }
}

async function openAttestation(server: InProcessServer) {
  return openBidiStream(await server.remote(AGENT), 'AttestAgent', { deadlineMs: LIMIT_MS });
}

const refusal = (message: string): object => ({
  reason: 'permission_denied',
  message: expect.stringContaining(message) as string,
});

describe.skipIf(!swtpmIsInstalled())('nodes with a software TPM (swtpm), at a server', () => {
  const directory = createTemporaryDirectory();
  const bootLog = new URL(
    '../../packages/shared/src/tpm/fixtures/sb-on/binary_bios_measurements',
    import.meta.url,
  );
  let node: SoftwareNode;
  let server: InProcessServer;
  let hash: string;

  beforeAll(async () => {
    node = await SoftwareNode.launch();
    await node.boot(await readFile(bootLog));
    hash = ekHash(publicKeyOf(parseTpmPublic((await node.offer()).ekPublic)));
    const roots = directory.join('roots.pem');
    await writeFile(roots, node.swtpm.ekRoots.map((der) => encodePem('CERTIFICATE', der)).join(''));
    const tpm = { ek_roots: [roots], proof: { interval: '0' } };
    server = await InProcessServer.start({ config: { plugins: { NodeAttestor: { tpm } } } });
  }, LIMIT_MS);

  afterAll(async () => {
    await server[Symbol.asyncDispose]();
    await node[Symbol.asyncDispose]();
    directory.remove();
  }, LIMIT_MS);

  const answerTo = async (attestation: Attestation): Promise<Buffer> => {
    const challenge = parseTpmChallenge(await attestation.challenge());
    return formatTpmAnswer(await node.answer(challenge, attestation.csrHash));
  };

  const isCurrent = async (identity: ClientIdentity): Promise<boolean> => {
    const client = await server.remote('spire.api.server.entry.v1.Entry', identity);
    return callUnary(client, 'GetAuthorizedEntries', {}).then(
      () => true,
      () => false,
    );
  };

  it(
    'leaves one current SVID when two agents with one TPM attest at once',
    async () => {
      const offer = await node.offer();
      using one = await Attestation.begin(server, offer);
      using two = await Attestation.begin(server, offer);
      const answers = [await answerTo(one), await answerTo(two)] as const;
      const sent = [one, two].map(async (attestation, index) => {
        await attestation.send(answers[index] ?? Buffer.alloc(0));
        return attestation.svid();
      });
      const issued = (await Promise.allSettled(sent)).flatMap((result) =>
        result.status === 'fulfilled' ? [result.value] : [],
      );
      expect(issued.length).toBeGreaterThan(0);
      const current = await Promise.all(issued.map(isCurrent));
      expect(current.filter(Boolean)).toHaveLength(1);
      const { agents } = await callUnary(server.local(AGENT), 'ListAgents', {});
      expect(agents.filter(({ id }) => id?.path === `/spire/agent/tpm/${hash}`)).toHaveLength(1);
    },
    LIMIT_MS,
  );

  it(
    'takes one answer to one challenge, once',
    async () => {
      const offer = await node.offer();
      using first = await Attestation.begin(server, offer);
      const answer = await answerTo(first);
      await first.send(answer);
      expect(await isCurrent(await first.svid())).toBe(true);
      await first.send(answer).catch(() => undefined); // the stream may be over by now
      expect(await first.isOver()).toBe(true);
      using second = await Attestation.begin(server, offer);
      await second.challenge();
      await second.send(answer);
      await expect(second.svid()).rejects.toMatchObject(refusal('could not open the secret'));
    },
    LIMIT_MS,
  );

  it(
    'refuses an attestation key that is in no TPM, before and after the challenge',
    async () => {
      const offer = await node.offer();
      const unrestricted = new ForgedAttestationKey({
        attributes: ['fixedTPM', 'fixedParent', 'sensitiveDataOrigin', 'userWithAuth', 'sign'],
      });
      using early = await Attestation.begin(server, { ...offer, akPublic: unrestricted.public.raw });
      await expect(early.challenge()).rejects.toMatchObject(refusal('restricted'));

      // Of a TPM that attests for the first time: nothing is pinned that would refuse the key before.
      await using fresh = await SoftwareNode.launch();
      const enrolled = directory.join('hashes');
      const freshOffer = await fresh.offer();
      await writeFile(enrolled, `${ekHash(publicKeyOf(parseTpmPublic(freshOffer.ekPublic)))}\n`);
      const tpm = { ek_hashes_path: enrolled };
      await using other = await InProcessServer.start({ config: { plugins: { NodeAttestor: { tpm } } } });
      const forged = new ForgedAttestationKey();
      using late = await Attestation.begin(other, { ...freshOffer, akPublic: forged.public.raw });
      const { banks, nonce, pcrs } = parseTpmChallenge(await late.challenge());
      const extraData = quoteExtraData(nonce, late.csrHash);
      const values = new Map(pcrs.map((pcr) => [pcr, Buffer.alloc(32)]));
      const quotes = banks
        .filter((bank) => bank === 'sha256')
        .map((bank) => ({ bank, ...forged.quote(bank, values, { extraData }), pcrs: values }));
      const activated = randomBytes(32);
      await late.send(formatTpmAnswer({ activated, quotes, activeBanks: ['sha256'] }));
      await expect(late.svid()).rejects.toMatchObject(refusal('could not open the secret'));
      expect((await callUnary(other.local(AGENT), 'ListAgents', {})).agents).toEqual([]);
    },
    LIMIT_MS,
  );

  it(
    'attests anew by itself when an operator has its attestation key forgotten',
    async () => {
      const agentId = `spiffe://example.org/spire/agent/tpm/${hash}`;
      await server.createEntry(agentId, '/web', { selectors: [OWN_SELECTOR] });
      const log = directory.join('boot-log');
      await writeFile(log, await readFile(bootLog));
      const tpm = { device: node.swtpm.path, event_log_path: log };
      await using agent = await InProcessAgent.start({
        ...{ server, withoutToken: true, config: { plugins: { NodeAttestor: { tpm } } } },
      });
      await agent.fetched('the SVID');
      expect(agent.logged('Starting node attestation')).toBe(1);
      await callUnary(server.local(TPM), 'RekeyTpm', { ekHash: hash });
      const request = { id: { trustDomain: 'example.org', path: `/spire/agent/tpm/${hash}` } };
      await callUnary(server.local('bonafide.attestation.v1.NodeAdmission'), 'RequestProof', request);
      const explain = (): string => agent.logLines.map(({ level, msg }) => `${level} ${msg}`).join('\n');
      await waitFor('a second attestation', () => agent.logged('Starting node attestation') === 2, {
        ...{ limitMs: LIMIT_MS / 2, explain },
      });
      await agent.fetched('the SVID again');
      const state = await callUnary(server.local('bonafide.attestation.v1.NodeAdmission'), 'RequestProof', {
        ...{ ...request, waitMs: 30_000 },
      });
      expect(state).toMatchObject({ isQuarantined: false });
      const facts = new Map(state.facts.map(({ name, value }) => [name, value]));
      expect(facts.get('Attestation key')).toMatch(/^[0-9a-f]{64}$/);
    },
    LIMIT_MS,
  );
});
