import { createHash } from 'node:crypto';
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import { addAgentRefusal } from '@bonafide/shared/rpc/agent-refusal';
import type { ProveRequest__Output } from '@bonafide/shared/rpc/gen/bonafide/attestation/v1/ProveRequest';
import type { ProveResponse } from '@bonafide/shared/rpc/gen/bonafide/attestation/v1/ProveResponse';
import { loadService } from '@bonafide/shared/rpc/load-service';
import { silentLogger } from '@bonafide/shared/runtime/logger';
import { FakeClock } from '@bonafide/testing/fake-clock';
import { createTemporaryDirectory } from '@bonafide/testing/temporary-directory';
import { TestAuthority } from '@bonafide/testing/test-authority';
import { waitFor } from '@bonafide/testing/wait-for';
import {
  credentials,
  Metadata,
  Server,
  ServerCredentials,
  status,
  type ServerDuplexStream,
} from '@grpc/grpc-js';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { ServerChannel } from '../agent-identity/server-connection.js';
import type { NodeAttestor, ProofExchange } from './node-attestor.js';
import { NodeProver } from './node-prover.js';

type Prove = ServerDuplexStream<ProveRequest__Output, ProveResponse>;

const authority = await TestAuthority.create('example.org');
const identity = await authority.issueX509Svid('/spire/agent/tpm/1');
const ACCEPTED: ProveResponse = { verdict: { isQuarantined: false } };

/** A real gRPC server that answers each message of a proof with the next line of the script. */
class ScriptedServer implements AsyncDisposable {
  readonly heard: ProveRequest__Output[] = [];
  readonly script: (ProveResponse | 'lost' | 'quarantined' | 'refused')[] = [];
  readonly #server = new Server();
  readonly #directory = createTemporaryDirectory();
  readonly target = `unix:${this.#directory.join('proof.sock')}`;

  async start(): Promise<this> {
    this.#server.addService(loadService('bonafide.attestation.v1.NodeProof').definition, {
      Prove: (stream: Prove) => {
        stream.on('error', () => undefined);
        stream.on('data', (request: ProveRequest__Output) => {
          this.heard.push(request);
          this.#answer(stream);
        });
      },
    });
    await new Promise<void>((resolve, reject) => {
      this.#server.bindAsync(this.target, ServerCredentials.createInsecure(), (error) => {
        if (error === null) resolve();
        else reject(error);
      });
    });
    return this;
  }

  #answer(stream: Prove): void {
    const line = this.script.shift() ?? ACCEPTED;
    if (typeof line !== 'string') {
      stream.write(line);
      return;
    }
    const metadata = new Metadata();
    const details = `the script says ${line}`;
    const code = {
      lost: status.UNAVAILABLE,
      quarantined: status.PERMISSION_DENIED,
      refused: status.INVALID_ARGUMENT,
    };
    if (line === 'quarantined') {
      addAgentRefusal(metadata, { code: code[line], details, reason: 'agent_quarantined' });
    }
    stream.emit('error', { code: code[line], details, metadata });
  }

  /** How many proofs were begun. */
  get begun(): number {
    return this.heard.filter(({ step }) => step === 'begin').length;
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#server.forceShutdown();
    this.#directory.remove();
    return Promise.resolve();
  }
}

describe('NodeProver', () => {
  let server: ScriptedServer;
  let clock: FakeClock;
  let stopping: AbortController;
  let ended: Promise<void>;
  let prover: NodeProver;
  let proofs: (ProofExchange & { readonly isAnswered: boolean })[];
  let failures: (BonafideError | undefined)[];
  let quarantined: string[];
  let refusals: unknown[];
  let client: { close(): void };

  const attestor: NodeAttestor = {
    type: 'tpm',
    isSpent: false,
    attest: () => Promise.reject(new Error('not here')),
    async prove(exchange) {
      const failure = failures.shift();
      if (failure !== undefined) throw failure;
      let challenge: Buffer | undefined = exchange.challenge;
      while (challenge !== undefined)
        challenge = await exchange.send(Buffer.from(`to ${challenge.toString()}`));
      proofs.push({ ...exchange, isAnswered: true });
    },
  };

  function start(node: NodeAttestor): NodeProver {
    const { Client } = loadService('bonafide.attestation.v1.NodeProof');
    const proofClient = new Client(server.target, credentials.createInsecure());
    client = proofClient;
    const channel = { identity, superseded: new AbortController().signal, client: () => proofClient };
    return new NodeProver({
      connection: { channel: () => channel as ServerChannel, discard: () => false },
      attestor: node,
      reportRefusal: (error) => refusals.push(error),
      onQuarantined: (why) => quarantined.push(why),
      explain: String,
      random: () => 0,
      clock,
      log: silentLogger,
    });
  }

  beforeEach(async () => {
    server = await new ScriptedServer().start();
    clock = new FakeClock();
    stopping = new AbortController();
    [proofs, failures, quarantined, refusals] = [[], [], [], []];
    prover = start(attestor);
    ended = prover.run(stopping.signal);
  });

  afterEach(async () => {
    stopping.abort();
    await ended;
    client.close();
    await server[Symbol.asyncDispose]();
  });

  it('answers every challenge until the verdict, for the certificate with which it calls', async () => {
    server.script.push({ challenge: Buffer.from('one') }, { challenge: Buffer.from('two') }, ACCEPTED);
    prover.request();
    await waitFor('the proof', () => proofs.length === 1);
    expect(server.heard.map(({ answer, begin }) => begin?.attestationType ?? answer?.toString())).toEqual([
      'tpm',
      'to one',
      'to two',
    ]);
    const [certificate = Buffer.alloc(0)] = identity.certificateChain;
    expect(proofs[0]?.certificateHash).toEqual(createHash('sha256').update(certificate).digest());
    expect(quarantined).toEqual([]);
  });

  it('proves once for requests that come together, and again for one that comes later', async () => {
    server.script.push({ challenge: Buffer.from('x') }, ACCEPTED, { challenge: Buffer.from('y') }, ACCEPTED);
    prover.request();
    prover.request();
    prover.request();
    await waitFor('the proof', () => proofs.length === 1);
    expect(server.begun).toBe(1);
    prover.request();
    await waitFor('the second proof', () => proofs.length === 2);
    expect(server.begun).toBe(2);
  });

  it('tells when the verdict is quarantine, and why', async () => {
    const verdict = {
      isQuarantined: true,
      findings: [{ kind: 'pcr', text: 'PCR 7 has changed' }, { text: 'Secure Boot is off' }],
    };
    server.script.push({ challenge: Buffer.from('x') }, { verdict });
    prover.request();
    await waitFor('the verdict', () => quarantined.length === 1);
    expect(quarantined).toEqual(['PCR 7 has changed; Secure Boot is off']);
  });

  it('tries again, with a pause, when the server is lost', async () => {
    server.script.push(
      'lost',
      { challenge: Buffer.from('x') },
      'lost',
      { challenge: Buffer.from('y') },
      ACCEPTED,
    );
    prover.request();
    await waitFor('the first attempt', () => refusals.length === 1);
    expect(server.begun).toBe(1);
    await waitFor('the proof', async () => {
      await clock.advance(500);
      return proofs.length === 1;
    });
    expect(server.begun).toBe(3);
  });

  it('tries again, with a pause, when the TPM fails', async () => {
    failures.push(new BonafideError('failed_precondition', 'there is no TPM'), undefined);
    server.script.push({ challenge: Buffer.from('x') }, { challenge: Buffer.from('y') }, ACCEPTED);
    prover.request();
    await waitFor('the proof', async () => {
      await clock.advance(500);
      return proofs.length === 1;
    });
    expect(refusals).toEqual([]);
  });

  it('leaves it to the rest of the agent when the server refuses the agent itself', async () => {
    server.script.push('quarantined');
    prover.request();
    await waitFor('the refusal', () => refusals.length === 1);
    expect(refusals[0]).toMatchObject({ reason: 'agent_quarantined' });
    await clock.advance(120_000);
    expect(server.begun).toBe(1);
  });

  it('does not ask for ever to have evidence looked at that is refused', async () => {
    server.script.push(...Array.from({ length: 20 }, () => 'refused' as const));
    prover.request();
    await waitFor('five attempts', async () => {
      await clock.advance(30_000);
      return refusals.length === 5;
    });
    await clock.advance(600_000);
    expect(server.begun).toBe(5);
  });

  it('has no answer where the evidence can be shown only once', async () => {
    const once = start({ type: 'join_token', isSpent: false, attest: () => Promise.resolve() });
    once.request();
    await clock.advance(60_000);
    expect(server.begun).toBe(0);
  });
});
