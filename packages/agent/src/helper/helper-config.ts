/** The configuration of helpers: spiffe-helper's keys, in a file of their own or in the agent's. */
import { resolve } from 'node:path';
import { durationSchema } from '@bonafide/shared/config/duration';
import { parsedString } from '@bonafide/shared/config/parsed-string';
import { parseSpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';
import { z } from 'zod';
import type { HelperEntry, OnChange } from './helper-entry.js';
import { parseMode, parseSignal, splitArguments } from './helper-values.js';

const DEFAULT_TIMEOUT_SECONDS = 30;
const MOST_ENTRIES = 1000;
const MOST_TOKENS = 100;
/** A key, or a token that whoever reads it may use, is for its owner and its group alone. */
const SECRET_BITS = 0o640;
const PUBLIC_BITS = 0o644;

const text = z.string().min(1);

/** A name that cannot leave the folder, nor be one of ours. */
const fileNameSchema = z
  .string()
  .regex(
    /^[A-Za-z0-9_-][A-Za-z0-9._-]{0,199}$/,
    'is no file name; expected letters, digits, ".", "_" and "-"',
  );

const publicMode = parsedString((value) => parseMode(value, PUBLIC_BITS));
const secretMode = parsedString((value) => parseMode(value, SECRET_BITS));
const signalNumber = parsedString(parseSignal);
const words = z.array(text).min(1).max(100);

const onChangeSchema = z.strictObject({
  signal: z.strictObject({ pid_file_name: text, signal: signalNumber }).optional(),
  /** Program and arguments; no shell. */
  command: words.optional(),
  systemd_unit: z
    .string()
    .regex(/^[A-Za-z0-9:_.@\\][A-Za-z0-9:_.@\\-]{0,254}$/, 'is no name of a systemd unit')
    .optional(),
  timeout: durationSchema.optional(),
});

/** Everything is optional here, so that a file with a list of helpers can be told from one without. */
const entryShape = {
  cert_dir: text.optional(),
  svid_file_name: fileNameSchema.optional(),
  svid_key_file_name: fileNameSchema.optional(),
  svid_bundle_file_name: fileNameSchema.optional(),
  jwt_svids: z
    .array(
      z.strictObject({
        jwt_audience: text,
        jwt_extra_audiences: z.array(text).max(99).optional(),
        jwt_svid_file_name: fileNameSchema,
      }),
    )
    .max(MOST_TOKENS)
    .optional(),
  jwt_bundle_file_name: fileNameSchema.optional(),
  cert_file_mode: publicMode.optional(),
  key_file_mode: secretMode.optional(),
  jwt_bundle_file_mode: publicMode.optional(),
  jwt_svid_file_mode: secretMode.optional(),
  owner: text.optional(),
  group: text.optional(),
  add_intermediates_to_bundle: z.boolean().optional(),
  include_federated_domains: z.boolean().optional(),
  omit_expired: z.boolean().optional(),
  spiffe_id: parsedString(parseSpiffeId).optional(),
  hint: text.optional(),
  pid_file_name: text.optional(),
  renew_signal: signalNumber.optional(),
  on_change: onChangeSchema.optional(),
};

const rawEntrySchema = z.strictObject(entryShape);
type RawEntry = z.output<typeof rawEntrySchema>;
type Problem = (key: string, message: string) => void;

const entrySchema = rawEntrySchema.transform((raw, context) => entryOf(raw, problems(context)));

/** Of the agent's own configuration: each is one of the agent's entries, named by its SPIFFE ID. */
export const agentHelpersSchema = z
  .array(
    rawEntrySchema.transform((raw, context): HelperEntry => {
      const problem = problems(context);
      if (raw.spiffe_id === undefined)
        problem('spiffe_id', 'is missing; expected that of an entry of this agent');
      return entryOf(raw, problem);
    }),
  )
  .max(MOST_ENTRIES)
  .superRefine(refuseSharedFolders);

const healthChecksSchema = z.strictObject({
  listener_enabled: z.boolean().default(false),
  bind_address: text.optional(),
  bind_port: z.int().min(1).max(65_535).default(8081),
  liveness_path: z.string().startsWith('/').default('/live'),
  readiness_path: z.string().startsWith('/').default('/ready'),
});

/** The file of `bonafide-agent helper`: one entry by itself, as spiffe-helper has it, or a list of them. */
export const helperFileSchema = z
  .strictObject({
    ...entryShape,
    helpers: z.array(entrySchema).min(1).max(MOST_ENTRIES).superRefine(refuseSharedFolders).optional(),
    agent_address: text.optional(),
    cmd: text.optional(),
    cmd_args: z.union([z.array(z.string()), parsedString(splitArguments)]).optional(),
    cmd_restart: z.boolean().default(false),
    daemon_mode: z.boolean().default(true),
    health_checks: healthChecksSchema.prefault({}),
  })
  .transform((file, context) => {
    const {
      agent_address,
      cmd,
      cmd_args = [],
      cmd_restart,
      daemon_mode,
      health_checks,
      helpers,
      ...own
    } = file;
    const problem = problems(context);
    if (cmd === undefined && cmd_args.length > 0) problem('cmd_args', 'is of no use without cmd');
    if (cmd === undefined && cmd_restart) problem('cmd_restart', 'is of no use without cmd');
    if (cmd !== undefined && !daemon_mode) {
      problem('cmd', 'cannot be set together with daemon_mode: false, which writes the files once and ends');
    }
    if (helpers !== undefined) {
      for (const [key, value] of Object.entries(own))
        if (value !== undefined && !(key === 'renew_signal' && cmd !== undefined))
          problem(key, 'cannot stand beside helpers; expected it in each of them');
    } else if (own.pid_file_name === undefined && cmd === undefined && own.renew_signal !== undefined) {
      problem('renew_signal', 'is of no use without cmd or pid_file_name');
    }
    return {
      agentAddress: agent_address,
      child:
        cmd === undefined
          ? undefined
          : { program: cmd, args: cmd_args, restarts: cmd_restart, renewSignal: own.renew_signal },
      isDaemon: daemon_mode,
      healthChecks: health_checks,
      entries: helpers ?? [entryOf(own, problem, cmd !== undefined)],
    };
  });

export type HelperFile = z.output<typeof helperFileSchema>;

function entryOf(raw: RawEntry, problem: Problem, hasChild = false): HelperEntry {
  const jwtSvids = (raw.jwt_svids ?? []).map((svid) => ({
    fileName: svid.jwt_svid_file_name,
    audiences: [svid.jwt_audience, ...(svid.jwt_extra_audiences ?? [])],
  }));
  if (raw.cert_dir === undefined) problem('cert_dir', 'is missing; expected a folder for the files');
  const isForTokensOnly = jwtSvids.length > 0 || raw.jwt_bundle_file_name !== undefined;
  const { svid_file_name, svid_key_file_name, svid_bundle_file_name } = raw;
  const named = [svid_file_name, svid_key_file_name, svid_bundle_file_name];
  const isNamed = named.some((name) => name !== undefined);
  const x509 =
    isForTokensOnly && !isNamed
      ? undefined
      : {
          certificate: svid_file_name ?? 'svid.pem',
          key: svid_key_file_name ?? 'svid_key.pem',
          bundle: svid_bundle_file_name ?? 'svid_bundle.pem',
        };
  const names = [...Object.values(x509 ?? {}), ...jwtSvids.map(({ fileName }) => fileName)];
  if (raw.jwt_bundle_file_name !== undefined) names.push(raw.jwt_bundle_file_name);
  const repeated = names.find((name, index) => names.indexOf(name) < index);
  if (repeated !== undefined) problem('cert_dir', `two files would have the name ${repeated}`);
  if (raw.pid_file_name !== undefined && raw.renew_signal === undefined) {
    problem(
      'renew_signal',
      'is missing; expected the signal for the process of pid_file_name, such as SIGHUP',
    );
  }
  if (!hasChild && raw.pid_file_name === undefined && raw.renew_signal !== undefined) {
    problem('pid_file_name', 'is missing; expected the file with the process that is to get renew_signal');
  }
  return {
    directory: resolve(raw.cert_dir ?? '.'),
    x509,
    jwtSvids,
    jwtBundleFileName: raw.jwt_bundle_file_name,
    modes: {
      certificate: raw.cert_file_mode ?? 0o644,
      key: raw.key_file_mode ?? 0o600,
      jwtBundle: raw.jwt_bundle_file_mode ?? 0o600,
      jwtSvid: raw.jwt_svid_file_mode ?? 0o600,
    },
    owner: raw.owner,
    group: raw.group,
    addsIntermediatesToBundle: raw.add_intermediates_to_bundle ?? false,
    includesFederatedDomains: raw.include_federated_domains ?? false,
    omitsExpired: raw.omit_expired ?? false,
    choice: { spiffeId: raw.spiffe_id, hint: raw.hint },
    onChange: onChangeOf(raw),
  };
}

function onChangeOf({ on_change = {}, pid_file_name, renew_signal }: RawEntry): OnChange {
  const {
    command,
    signal,
    systemd_unit: unit,
    timeout: timeoutSeconds = DEFAULT_TIMEOUT_SECONDS,
  } = on_change;
  const [program, ...args] = command ?? [];
  return {
    signals: [
      ...(pid_file_name === undefined || renew_signal === undefined
        ? []
        : [{ pidFile: pid_file_name, signalNumber: renew_signal }]),
      ...(signal === undefined ? [] : [{ pidFile: signal.pid_file_name, signalNumber: signal.signal }]),
    ],
    commands: [
      ...(program === undefined ? [] : [{ program, args, timeoutSeconds }]),
      ...(unit === undefined ? [] : [{ program: 'systemctl', args: ['reload', '--', unit], timeoutSeconds }]),
    ],
  };
}

function problems(context: z.core.$RefinementCtx): Problem {
  return (key, message) => {
    context.issues.push({ code: 'custom', path: [key], message, input: undefined });
  };
}

function refuseSharedFolders(entries: readonly HelperEntry[], context: z.core.$RefinementCtx): void {
  for (const [index, { directory }] of entries.entries()) {
    if (entries.findIndex((other) => other.directory === directory) === index) continue;
    const message = `is that of another helper, ${directory}; expected one for each`;
    context.issues.push({ code: 'custom', path: [index, 'cert_dir'], message, input: entries });
  }
}
