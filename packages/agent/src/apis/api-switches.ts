/** Which of its local APIs an agent serves; all of them unless the configuration says otherwise. */
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import { z } from 'zod';
import type { CallCheck } from '../endpoints/peer-interceptor.js';

const WORKLOAD_API = '/SpiffeWorkloadAPI/';

/** What each switch covers: a service, or methods of one. */
const COVERED = {
  x509: [`${WORKLOAD_API}FetchX509SVID`, `${WORKLOAD_API}FetchX509Bundles`],
  jwt: [`${WORKLOAD_API}FetchJWTSVID`, `${WORKLOAD_API}FetchJWTBundles`],
  validate_jwt: [`${WORKLOAD_API}ValidateJWTSVID`],
  wit: [`${WORKLOAD_API}FetchWITSVID`, `${WORKLOAD_API}FetchWITBundles`],
  sds: ['/envoy.service.secret.v3.SecretDiscoveryService/'],
  delegated_identity: ['/spire.api.agent.delegatedidentity.v1.DelegatedIdentity/'],
  debug: ['/spire.agent.debug.v1.Debug/', '/bonafide.debug.v1.Snapshots/'],
  logger: ['/spire.api.agent.logger.v1.Logger/'],
} as const satisfies Record<string, readonly string[]>;

export type ApiName = keyof typeof COVERED;

const NAMES = Object.keys(COVERED) as readonly ApiName[];

/** The `apis` part of the configuration. */
export const apiSwitchesSchema = z.strictObject(
  Object.fromEntries(NAMES.map((name) => [name, z.boolean().default(true)])) as Record<
    ApiName,
    z.ZodDefault<z.ZodBoolean>
  >,
);
export type ApiSwitches = z.output<typeof apiSwitchesSchema>;

/** Refuses calls of what is switched off, and says so. */
export function checkSwitches(switches: ApiSwitches): CallCheck {
  const off = NAMES.filter((name) => !switches[name]);
  return ({ path }) => {
    const name = off.find((each) =>
      COVERED[each].some((covered) => (covered.endsWith('/') ? path.startsWith(covered) : path === covered)),
    );
    if (name === undefined) return undefined;
    return new BonafideError(
      'unimplemented',
      `this API is switched off on this agent: apis.${name} is false`,
    );
  };
}
