/** grpc.health.v1.Health: whether this server can sign, for those who route traffic to it, and what is degraded while it can. */
import { Metadata } from '@grpc/grpc-js';
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import { serverStreamHandler, unaryHandler } from '@bonafide/shared/rpc/handler';
import { CHECKS_HEADER, DEGRADED_HEADER } from '@bonafide/shared/rpc/health-header';
import type { Handlers } from '@bonafide/shared/rpc/load-service';
import { writeMessage } from '@bonafide/shared/rpc/write-message';
import { callContext } from '../access/call-context.js';
import { SERVED_SERVICES } from '../access/rpc-callers.js';
import type { Component, HealthState } from './health-state.js';

type ServingStatus = 'SERVING' | 'NOT_SERVING';

/** The empty name is the server as a whole, which serves what it can while a component does not. */
const SERVER_NAMES: readonly string[] = ['', ...SERVED_SERVICES];
const COMPONENTS: Readonly<Record<string, Component>> = {
  'bonafide.datastore': 'datastore',
  'bonafide.authority': 'authority',
};

export function createHealthHandlers(state: HealthState): Handlers<'grpc.health.v1.Health'> {
  /** Undefined for a name that is not served. */
  const status = (name: string): ServingStatus | undefined => {
    const component = Object.hasOwn(COMPONENTS, name) ? COMPONENTS[name] : undefined;
    if (component === undefined && !SERVER_NAMES.includes(name)) return undefined;
    const isWell = component === undefined ? state.isServing : state.isWell(component);
    return isWell ? 'SERVING' : 'NOT_SERVING';
  };
  return {
    Check: unaryHandler(callContext, ({ service }, call, { peer }) => {
      const known = status(service);
      if (known === undefined) {
        throw new BonafideError('not_found', `unknown service ${JSON.stringify(service.slice(0, 256))}`);
      }
      // Strangers hear that something is wrong, operators what.
      if (service === '' && peer.kind === 'local') {
        const headers = new Metadata();
        for (const line of state.degradations()) headers.add(DEGRADED_HEADER, Buffer.from(line));
        headers.set(CHECKS_HEADER, Buffer.from(JSON.stringify(state.checks())));
        call.sendMetadata(headers);
      }
      return Promise.resolve({ status: known });
    }),

    List: unaryHandler(callContext, () =>
      Promise.resolve({
        statuses: Object.fromEntries(
          [...SERVER_NAMES, ...Object.keys(COMPONENTS)].map((name) => [
            name,
            { status: status(name) ?? 'NOT_SERVING' },
          ]),
        ),
      }),
    ),

    Watch: serverStreamHandler(callContext, async ({ service }, call, { signal }) => {
      let told: string | undefined;
      while (!signal.aborted) {
        const change = state.changed(signal);
        const now = status(service) ?? 'SERVICE_UNKNOWN';
        if (now !== told) await writeMessage(call, { status: now }, signal);
        told = now;
        await change;
      }
    }),
  };
}
