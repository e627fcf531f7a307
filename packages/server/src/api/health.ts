/** grpc.health.v1.Health: whether this server can sign and store, for those who route traffic to it. */
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import { serverStreamHandler, unaryHandler } from '@bonafide/shared/rpc/handler';
import type { Handlers } from '@bonafide/shared/rpc/load-service';
import { writeMessage } from '@bonafide/shared/rpc/write-message';
import { callContext } from '../access/call-context.js';
import { SERVED_SERVICES } from '../access/rpc-callers.js';

type ServingStatus = 'SERVING' | 'NOT_SERVING';

/** Whether the server is ready; those who watch hear of every change. */
export class HealthState {
  readonly #listeners = new Set<(isServing: boolean) => void>();
  #isServing = false;

  get isServing(): boolean {
    return this.#isServing;
  }

  set(isServing: boolean): void {
    if (this.#isServing === isServing) return;
    this.#isServing = isServing;
    for (const listener of this.#listeners) listener(isServing);
  }

  /** Resolves at the next change. @throws BonafideError `cancelled` by the signal. */
  changed(signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const finish = (): void => {
        this.#listeners.delete(finish);
        signal.removeEventListener('abort', finish);
        if (signal.aborted) reject(new BonafideError('cancelled', 'the call is over'));
        else resolve();
      };
      this.#listeners.add(finish);
      signal.addEventListener('abort', finish, { once: true });
      if (signal.aborted) finish();
    });
  }
}

/** The empty name is the server as a whole. */
const NAMES: readonly string[] = ['', ...SERVED_SERVICES];

export function createHealthHandlers(state: HealthState): Handlers<'grpc.health.v1.Health'> {
  const status = (): ServingStatus => (state.isServing ? 'SERVING' : 'NOT_SERVING');
  return {
    Check: unaryHandler(callContext, ({ service }) => {
      if (!NAMES.includes(service)) {
        throw new BonafideError('not_found', `unknown service ${JSON.stringify(service.slice(0, 256))}`);
      }
      return Promise.resolve({ status: status() });
    }),

    List: unaryHandler(callContext, () =>
      Promise.resolve({ statuses: Object.fromEntries(NAMES.map((name) => [name, { status: status() }])) }),
    ),

    Watch: serverStreamHandler(callContext, async ({ service }, call, { signal }) => {
      const isKnown = NAMES.includes(service);
      while (!signal.aborted) {
        const change = state.changed(signal);
        await writeMessage(call, { status: isKnown ? status() : 'SERVICE_UNKNOWN' }, signal);
        await change;
      }
    }),
  };
}
