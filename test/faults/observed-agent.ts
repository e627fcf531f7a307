/** What a workload sees of an agent: every X.509-SVID it is ever handed, over restarts of the agent. */
import { splitCertificates } from '@bonafide/shared/crypto/certificate-sequence';
import { parseX509Certificate } from '@bonafide/shared/crypto/x509-certificate';
import { errorMessage, hasReason } from '@bonafide/shared/errors/bonafide-error';
import { openServerStream } from '@bonafide/shared/rpc/client-call';
import type { X509SVIDResponse__Output } from '@bonafide/shared/rpc/gen/X509SVIDResponse';
import type { LaunchedAgent } from '@bonafide/testing/launch-agent';
import { adminClient } from './admin-client.js';
import { certifiedOf, identityOf } from './expected-entries.js';

/** SPIFFE Workload Endpoint section 5. */
const SECURITY_HEADER = { 'workload.spiffe.io': 'true' };
const PAUSE_MS = 50;

export class ObservedAgent implements AsyncDisposable {
  readonly agent: LaunchedAgent;
  /** What each SVID said, and when it was seen last. */
  readonly #seenAtMs = new Map<string, number>();
  readonly #stop = new AbortController();
  readonly #run: Promise<void>;
  #present: readonly string[] = [];
  #problem = '';

  constructor(agent: LaunchedAgent) {
    this.agent = agent;
    this.#run = this.#follow();
  }

  /** Of its entries. */
  get path(): string {
    return new URL(this.agent.spiffeId).pathname;
  }

  /** The identities it hands out now, sorted. */
  get present(): readonly string[] {
    return this.#present;
  }

  /** What every SVID so far said, and when it was seen last, as `performance.now()` has it. */
  get seenAtMs(): ReadonlyMap<string, number> {
    return this.#seenAtMs;
  }

  explain(): string {
    return `${this.agent.spiffeId} ${this.#problem}\n${this.agent.process.output.slice(-3000)}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await this.#run;
  }

  async #follow(): Promise<void> {
    const { signal } = this.#stop;
    const client = adminClient(this.agent, 'SpiffeWorkloadAPI');
    try {
      while (!signal.aborted) {
        try {
          const settings = { metadata: SECURITY_HEADER, signal };
          for await (const message of openServerStream(client, 'FetchX509SVID', {}, settings))
            this.#note(message);
        } catch (error) {
          // No entry for this process is what the agent says by that; anything else leaves open what it holds.
          if (hasReason(error, 'permission_denied')) this.#present = [];
          this.#problem = errorMessage(error);
        }
        await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
      }
    } finally {
      client.close();
    }
  }

  #note({ svids }: X509SVIDResponse__Output): void {
    this.#present = svids
      .map(({ spiffeId, x509Svid, hint }) => {
        const [leaf = Buffer.alloc(0)] = splitCertificates(x509Svid, 'x509_svid');
        const { dnsNames, uriNames } = parseX509Certificate(leaf);
        // An SVID that says something else than the agent is of no entry there ever was.
        const path = uriNames.join() === spiffeId ? new URL(spiffeId).pathname : `not ${spiffeId}`;
        const entry = { spiffeId: { path }, dnsNames, hint };
        this.#seenAtMs.set(certifiedOf(entry), performance.now());
        return identityOf(entry);
      })
      .sort();
  }
}
