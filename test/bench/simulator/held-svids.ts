/** The SVIDs of one agent and of its workloads: signed in batches, replaced when their authority is tainted. */
import type { KeyObject } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ServerConnection } from '@bonafide/agent/agent-identity/server-connection';
import { createX509Svid } from '@bonafide/agent/svid-renewal/create-x509-svid';
import { newlyTainted } from '@bonafide/agent/svid-renewal/tainted-svids';
import type { TrustBundle } from '@bonafide/shared/bundle/trust-bundle';
import { parseX509Certificate } from '@bonafide/shared/crypto/x509-certificate';
import { callUnary } from '@bonafide/shared/rpc/client-call';
import { errorFromStatusProto } from '@bonafide/shared/rpc/status';
import type { X509Svid } from '@bonafide/shared/svid/x509-svid';
import type { Counters } from './counters.js';
import { pauseMs } from './pause.js';

interface HeldSvidsOptions {
  readonly connection: ServerConnection;
  readonly identity: X509Svid;
  readonly privateKey: KeyObject;
  /** Of all its workloads too: what is measured is the server. */
  readonly csr: Buffer;
  readonly counters: Counters;
}

/** As SPIRE's agents, which many of its servers take at once. */
const BATCH = 500;
const LIMIT_MS = 60_000;
const MOST_ATTEMPTS = 60;

export class HeldSvids {
  readonly #options: HeldSvidsOptions;
  /** By entry: the authority that signed, by its subject key identifier. */
  readonly #signers = new Map<string, string>();
  /** That of the agent's own SVID. */
  #ownSigner: string;
  #bundle: TrustBundle | undefined;
  #isKept = false;
  /** One batch after the other. */
  #work: Promise<void> = Promise.resolve();

  constructor(options: HeldSvidsOptions) {
    this.#options = options;
    this.#ownSigner = signerOf(options.identity.certificateChain);
  }

  get size(): number {
    return this.#signers.size;
  }

  /** @returns how many SVIDs stand under the authority, the agent's own among them. */
  signedBy(subjectKeyId: string): number {
    let count = this.#ownSigner === subjectKeyId ? 1 : 0;
    for (const signer of this.#signers.values()) if (signer === subjectKeyId) count += 1;
    return count;
  }

  async keepCurrent(entryIds: readonly string[]): Promise<void> {
    this.#isKept = true;
    this.#queue(() => this.#sign(entryIds));
    await this.#work;
  }

  entriesChanged(entryIds: readonly string[]): void {
    if (!this.#isKept) return;
    const present = new Set(entryIds);
    for (const id of this.#signers.keys()) if (!present.has(id)) this.#signers.delete(id);
    const missing = entryIds.filter((id) => !this.#signers.has(id));
    if (missing.length > 0) this.#queue(() => this.#sign(missing));
  }

  /** @returns whether there are other authorities than before. */
  trust(bundle: TrustBundle): boolean {
    const before = this.#bundle;
    this.#bundle = bundle;
    const tainted = newlyTainted(before, bundle);
    if (this.#isKept && tainted.size > 0) this.#queue(() => this.#replace(tainted));
    return keysOf(before) !== keysOf(bundle);
  }

  /** First the agent's own, without which it could ask for no other. */
  async #replace(tainted: ReadonlySet<string>): Promise<void> {
    if (tainted.has(this.#ownSigner)) await this.#persist(() => this.#renew());
    await this.#sign([...this.#signers].filter(([, signer]) => tainted.has(signer)).map(([id]) => id));
  }

  async #renew(): Promise<void> {
    const { csr, privateKey, connection } = this.#options;
    const { svid } = await callUnary(
      this.#client('spire.api.server.agent.v1.Agent'),
      'RenewAgent',
      { params: { csr } },
      { deadlineMs: LIMIT_MS },
    );
    const identity = createX509Svid(svid?.certChain ?? [], privateKey, csr);
    connection.identify(identity);
    this.#ownSigner = signerOf(identity.certificateChain);
  }

  async #sign(entryIds: readonly string[]): Promise<void> {
    for (let start = 0; start < entryIds.length; start += BATCH) {
      const ids = entryIds.slice(start, start + BATCH);
      await this.#persist(() => this.#signBatch(ids));
    }
  }

  async #signBatch(entryIds: readonly string[]): Promise<void> {
    const { csr } = this.#options;
    const { results } = await callUnary(
      this.#client('spire.api.server.svid.v1.SVID'),
      'BatchNewX509SVID',
      { params: entryIds.map((entryId) => ({ entryId, csr })) },
      { deadlineMs: LIMIT_MS },
    );
    for (const [index, { status, svid }] of results.entries()) {
      const error = errorFromStatusProto(status);
      const id = entryIds[index];
      if (error !== undefined || svid === null || id === undefined) {
        throw error ?? new Error('the server sent no SVID');
      }
      this.#signers.set(id, signerOf(svid.certChain));
    }
  }

  #client<Name extends 'spire.api.server.agent.v1.Agent' | 'spire.api.server.svid.v1.SVID'>(name: Name) {
    return this.#options.connection.channel().client(name);
  }

  async #persist(work: () => Promise<void>): Promise<void> {
    for (let attempt = 0; ; attempt += 1) {
      try {
        await work();
        return;
      } catch (error) {
        this.#options.counters.failed(error);
        if (attempt >= MOST_ATTEMPTS) throw error;
        await sleep(pauseMs(attempt, error));
      }
    }
  }

  #queue(work: () => Promise<void>): void {
    this.#work = this.#work.then(work);
    this.#work.catch(() => undefined); // whoever waits for it hears of it
  }
}

function keysOf(bundle: TrustBundle | undefined): string {
  return (bundle?.x509Authorities ?? []).map(({ certificate }) => certificate.toString('base64')).join();
}

/** @returns the subject key identifier of the authority. */
function signerOf(chain: readonly Buffer[]): string {
  const last = chain.at(-1);
  if (last === undefined) throw new Error('the server sent an empty chain');
  return parseX509Certificate(last).authorityKeyId ?? '';
}
