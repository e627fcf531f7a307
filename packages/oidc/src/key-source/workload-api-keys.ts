/** The keys of one trust domain as the agent streams them (SPIFFE Workload API section 6.2.2, FetchJWTBundles). */
import { readJwkSet } from '@bonafide/shared/bundle/jwk-set';
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import { openServerStream } from '@bonafide/shared/rpc/client-call';
import { loadService } from '@bonafide/shared/rpc/load-service';
import { Backoff } from '@bonafide/shared/runtime/backoff';
import { sleep, type Clock } from '@bonafide/shared/runtime/clock';
import { trustDomainId } from '@bonafide/shared/spiffe-id/spiffe-id';
import type { TrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';
import { credentials } from '@grpc/grpc-js';
import type { KeyReceiver, KeySource } from './key-source.js';

const SHORTEST_RETRY_MS = 250;

export interface WorkloadApiKeysOptions {
  readonly socketPath: string;
  readonly trustDomain: TrustDomain;
  /** The longest wait before a stream that ended is opened again. */
  readonly pollSeconds: number;
  readonly clock: Clock;
}

export class WorkloadApiKeys implements KeySource {
  readonly #options: WorkloadApiKeysOptions;

  constructor(options: WorkloadApiKeysOptions) {
    this.#options = options;
  }

  async follow(receiver: KeyReceiver, signal: AbortSignal): Promise<void> {
    const { socketPath, pollSeconds, clock } = this.#options;
    const { Client } = loadService('SpiffeWorkloadAPI');
    const client = new Client(`unix:${socketPath}`, credentials.createInsecure(), {
      'grpc.initial_reconnect_backoff_ms': 100,
      'grpc.max_reconnect_backoff_ms': 1_000,
    });
    const maximumMs = Math.max(pollSeconds * 1000, SHORTEST_RETRY_MS);
    const backoff = new Backoff({ initialMs: SHORTEST_RETRY_MS, maximumMs });
    const metadata = { 'workload.spiffe.io': 'true' };
    do {
      try {
        for await (const { bundles } of openServerStream(
          client,
          'FetchJWTBundles',
          {},
          { metadata, signal },
        )) {
          receiver.update({
            keys: readJwkSet(this.#select(bundles), 'jwt-svid'),
            refreshHintSeconds: undefined,
          });
          backoff.reset();
        }
        throw new BonafideError('unavailable', 'the agent ended the stream');
      } catch (error) {
        if (!signal.aborted) receiver.fail(error);
      }
      await sleep(clock, backoff.nextDelayMs(), signal).catch(() => undefined); // only the signal ends it early
    } while (!signal.aborted);
    client.close();
  }

  #select(bundles: Readonly<Record<string, Uint8Array>>): Uint8Array {
    const { trustDomain } = this.#options;
    const bundle = bundles[trustDomainId(trustDomain)];
    if (bundle !== undefined) return bundle;
    throw new BonafideError('unavailable', `the agent gives this process no bundle of ${trustDomain}`);
  }
}
