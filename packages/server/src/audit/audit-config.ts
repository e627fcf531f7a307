/** The `audit` section of the configuration: where the audit log goes, and what happens when it cannot be written. */
import { durationSchema } from '@bonafide/shared/config/duration';
import { z } from 'zod';

const MEBIBYTE = 1024 * 1024;

const fileSchema = z.strictObject({
  /** `audit/audit.log` in the data folder when absent. */
  path: z.string().min(1).optional(),
  /** Whether nothing is issued or changed while it cannot be written. */
  required: z.boolean().default(true),
  maximum_megabytes: z
    .number()
    .positive()
    .max(1_000_000)
    .default(100)
    .transform((megabytes) => Math.ceil(megabytes * MEBIBYTE)),
  /** Also a small file is rotated when it is this old. */
  maximum_age: durationSchema.optional(),
  /** Beside the one that is written. */
  keep_files: z.int().min(1).max(100_000).default(10),
  keep_for: durationSchema.optional(),
  compress: z.boolean().default(false),
});

const databaseSchema = z.strictObject({
  required: z.boolean().default(true),
  keep_for: durationSchema.optional(),
});

const syslogSchema = z
  .strictObject({
    required: z.boolean().default(false),
    transport: z.enum(['unix', 'udp', 'tcp', 'tls']).default('unix'),
    /** A stream socket; for `unix`. */
    path: z.string().min(1).optional(),
    host: z.string().min(1).optional(),
    port: z.int().min(1).max(65535).optional(),
    ca_path: z.string().min(1).optional(),
    /** Of RFC 5424 section 6.2.1; 13 is `log audit`, 10 `authpriv`. */
    facility: z.int().min(0).max(23).default(13),
  })
  .refine(({ transport, host }) => transport === 'unix' || host !== undefined, {
    path: ['host'],
    message: 'is missing; expected the host that takes syslog messages',
  })
  .refine(({ transport, path }) => transport !== 'unix' || path !== undefined, {
    path: ['path'],
    message: 'is missing; expected a Unix stream socket, or transport: udp, tcp or tls with a host',
  })
  .refine(({ transport, required }) => transport !== 'udp' || !required, {
    path: ['required'],
    message: 'cannot be had over udp, which does not say whether anything arrives; expected tcp, tls or unix',
  })
  .refine(({ transport, ca_path: caPath }) => transport === 'tls' || caPath === undefined, {
    path: ['ca_path'],
    message: 'is only for transport: tls',
  });

export const auditSchema = z.strictObject({
  /** Off: only the log has what is done, and nothing can be verified. */
  enabled: z.boolean().default(true),
  /** The default, where neither a database nor syslog is named. */
  file: fileSchema.optional(),
  database: databaseSchema.optional(),
  syslog: syslogSchema.optional(),
  /** `continue`: what cannot be told of is done all the same. */
  on_failure: z.enum(['stop', 'continue']).default('stop'),
});

export type AuditConfig = z.output<typeof auditSchema>;
export type SyslogConfig = z.output<typeof syslogSchema>;
export type AuditFileConfig = z.output<typeof fileSchema>;

/** What stands for a file that only its path is known of. */
export function auditFile(path: string | undefined): AuditFileConfig {
  return fileSchema.parse({ path });
}
