/** The `telemetry` section, which the three programs share: where Prometheus finds the metrics, with SPIRE's names. */
import { z } from 'zod';
import { parsedString } from '../config/parsed-string.js';
import { parseDnsName } from '../registration/dns-name.js';
import { parseSpiffeId } from '../spiffe-id/spiffe-id.js';
import { openTelemetrySchema } from './open-telemetry-config.js';

const path = z.string().min(1);

const tlsSchema = z
  .strictObject({
    cert_file: path.optional(),
    key_file: path.optional(),
    /** PEM; whoever has no certificate under it is refused. */
    client_ca_file: path.optional(),
    /** Serves under the program's own SVID in place of the two files. */
    use_spire_svid: z.boolean().default(false),
    /** Of the server: its SVID for the metrics has these names beside its SPIFFE ID, for clients that verify names of hosts. */
    dns_names: z.array(parsedString(parseDnsName)).min(1).max(20).optional(),
    /** Of the agent: serves under the SVID of its entry with this SPIFFE ID, which has the DNS names that the entry gives it. */
    spiffe_id: parsedString(parseSpiffeId).optional(),
    /** Only these are answered. */
    authorized_spiffe_ids: z.array(parsedString(parseSpiffeId)).min(1).max(1000).optional(),
  })
  .superRefine((tls, context) => {
    const problem = (key: keyof typeof tls, message: string): void => {
      context.addIssue({ code: 'custom', path: [key], message });
    };
    for (const key of ['cert_file', 'key_file'] as const) {
      if (tls.use_spire_svid && tls[key] !== undefined)
        problem(key, 'cannot be set together with use_spire_svid; expected one of them');
      if (!tls.use_spire_svid && tls[key] === undefined)
        problem(key, 'is missing; expected cert_file and key_file, or use_spire_svid = true');
    }
    for (const key of ['dns_names', 'spiffe_id'] as const) {
      if (!tls.use_spire_svid && tls[key] !== undefined)
        problem(key, 'is for SVIDs of the program; expected it together with use_spire_svid = true');
    }
    if (tls.dns_names !== undefined && tls.spiffe_id !== undefined)
      problem('spiffe_id', 'cannot be set together with dns_names; expected one of them');
    if (tls.authorized_spiffe_ids !== undefined && tls.client_ca_file !== undefined)
      problem('client_ca_file', 'cannot be set together with authorized_spiffe_ids; expected one of them');
  });

const prometheusSchema = z.strictObject({
  host: z.string().min(1).default('localhost'),
  /** 0: any free port, which is logged. */
  port: z.int().min(0).max(65535).default(9988),
  /** Undefined: plain HTTP. */
  tls: tlsSchema.optional(),
});

export type PrometheusConfig = z.output<typeof prometheusSchema>;
export type PrometheusTlsConfig = NonNullable<PrometheusConfig['tls']>;

export const telemetrySchema = z.strictObject({
  /** None: metrics are kept and not served. */
  Prometheus: prometheusSchema.optional(),
  /** None: nothing is traced. */
  OpenTelemetry: openTelemetrySchema.optional(),
});

type Program = 'server' | 'agent' | 'oidc';
type Refusals = Partial<Record<keyof PrometheusTlsConfig, string>>;

const NO_SVID =
  'this program has no SVID and no bundle of its own; expected cert_file, key_file and client_ca_file';

/** What one program cannot do of what the three share. */
const REFUSED: Readonly<Record<Program, Refusals>> = {
  server: { spiffe_id: 'a server has no entries; expected dns_names for names in its own SVID' },
  agent: {
    dns_names: 'only a server can give itself names; expected spiffe_id, that of an entry with DNS names',
  },
  oidc: { use_spire_svid: NO_SVID, authorized_spiffe_ids: NO_SVID },
};

/** A check of the section that refuses what this program could not serve with. */
export function servableBy(program: Program) {
  return ({ Prometheus }: { Prometheus?: PrometheusConfig | undefined }, context: z.RefinementCtx): void => {
    const tls = Prometheus?.tls;
    if (tls === undefined) return;
    for (const key of tlsSchema.keyof().options) {
      const message = REFUSED[program][key];
      if (message === undefined || tls[key] === undefined || tls[key] === false) continue;
      context.addIssue({ code: 'custom', path: ['Prometheus', 'tls', key], message });
    }
  };
}
