/** The server's configuration of the `tpm` node attestor: whose TPMs are believed, and what must run on their machines. */
import { durationSchema } from '@bonafide/shared/config/duration';
import { parseDuration } from '@bonafide/shared/config/go-duration';
import { parsedString } from '@bonafide/shared/config/parsed-string';
import { invalidArgument } from '@bonafide/shared/errors/bonafide-error';
import { PCR_BANKS } from '@bonafide/shared/tpm/algorithm';
import { z } from 'zod';
import { HIGHEST_PCR, goldenSetsSchema, unquotedPart, type GoldenSets } from './golden-sets.js';
import { pcrDigestSchema, sha256Schema } from './parse-hex-digest.js';

/** What firmware, boot loader and shim measure. */
const DEFAULT_PCRS = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 14];
const BOOT_AGGREGATE_PCRS = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9];
const DEFAULT_INTERVAL_SECONDS = 600;
const SHORTEST_INTERVAL_SECONDS = 1;
/** A node that is asked and does not answer may have been asked just before. */
const DEADLINE_INTERVALS = 3;

const path = z.string().min(1);
const pcr = z.int().min(0).max(HIGHEST_PCR);
const pcrs = z.array(pcr).max(HIGHEST_PCR + 1);

const policySchema = z
  .strictObject({
    /** Those that the machine must have; every other active bank is quoted and checked too. */
    banks: z.array(z.enum(PCR_BANKS)).min(1).max(PCR_BANKS.length).default(['sha256']),
    /** SHA-1 is broken: without this it neither counts as a bank nor makes selectors. */
    allow_sha1: z.boolean().default(false),
    pcrs: pcrs.min(1).default(DEFAULT_PCRS),
    /** May differ from boot to boot and within one. */
    changeable_pcrs: pcrs.default([]),
    golden: goldenSetsSchema.optional(),
    /** A YAML file of golden sets, or a folder of them; read again when it changes. */
    golden_path: path.optional(),
    secure_boot: z.enum(['required', 'any']).default('any'),
    /** SHA-256 of the entries of db that may vouch for what is booted; absent: any. */
    db_authorities: z.array(sha256Schema).min(1).max(256).optional(),
    /** Values that PCR 14 (what shim trusts beyond db) may have; absent: any. */
    pcr14: z.array(pcrDigestSchema).min(1).max(256).optional(),
    /** Without a log nothing is known of Secure Boot. */
    event_log: z.enum(['required', 'optional']).default('required'),
    /** SHA-256 of each file that may run, one a line; read again when it changes. */
    ima_allow_list_path: path.optional(),
    /** What the selector of a node whose files are all in that list is called. */
    ima_policy_name: z
      .string()
      .regex(/^[a-zA-Z0-9._-]{1,64}$/, {
        message: 'is not a name of 1 to 64 letters, digits, dots, dashes and underscores',
      })
      .default('default'),
  })
  .superRefine((policy, context) => {
    const refuse = (key: keyof typeof policy, message: string): void => {
      context.addIssue({ code: 'custom', path: [key], message });
    };
    if (policy.banks.includes('sha1') && !policy.allow_sha1) {
      refuse('banks', 'names sha1, which is broken; leave it out, or set allow_sha1: true');
    }
    if (policy.secure_boot === 'required' && !policy.pcrs.includes(7)) {
      refuse('pcrs', 'lacks PCR 7, by which Secure Boot is proven; secure_boot is required');
    }
    if (policy.db_authorities !== undefined && !policy.pcrs.includes(7)) {
      refuse('pcrs', 'lacks PCR 7, by which db_authorities are proven');
    }
    if (policy.pcr14 !== undefined && !policy.pcrs.includes(14)) {
      refuse('pcrs', 'lacks PCR 14, of which pcr14 gives the values');
    }
    const missing = BOOT_AGGREGATE_PCRS.filter((index) => !policy.pcrs.includes(index));
    if (policy.ima_allow_list_path !== undefined && missing.length > 0) {
      refuse(
        'pcrs',
        `lacks PCR ${missing.join(', ')}: the list of measured files belongs to a boot by PCRs 0 to 9, and ima_allow_list_path is set`,
      );
    }
    const needsLog = policy.secure_boot === 'required' || policy.db_authorities !== undefined;
    if (needsLog && policy.event_log === 'optional') {
      refuse('event_log', 'is optional; Secure Boot and db_authorities can be proven only by the log');
    }
    // Refinements run beside what is wrong already: then the sets are as they were written.
    const golden: GoldenSets = policy.golden instanceof Map ? policy.golden : new Map();
    for (const [name, set] of golden) {
      const unseen = unquotedPart(set, policy);
      if (unseen !== undefined) refuse('golden', `${name} names ${unseen}`);
    }
  });

const proofSchema = z
  .strictObject({
    /** 0 disables. */
    interval: parsedString(parseInterval).prefault(`${DEFAULT_INTERVAL_SECONDS}s`),
    deadline: durationSchema.optional(),
  })
  .transform(({ interval, deadline }) => ({
    intervalSeconds: interval === 0 ? undefined : interval,
    deadlineSeconds: deadline ?? DEADLINE_INTERVALS * (interval === 0 ? DEFAULT_INTERVAL_SECONDS : interval),
  }))
  .refine(
    ({ intervalSeconds, deadlineSeconds }) =>
      intervalSeconds === undefined || deadlineSeconds > intervalSeconds,
    { path: ['deadline'], message: 'is not longer than the interval: every node would miss it' },
  );

export const tpmConfigSchema = z
  .strictObject({
    /** PEM files of manufacturers' roots and intermediates. */
    ek_roots: z.array(path).min(1).max(1000).optional(),
    /** One EK hash a line; read again when it changes. */
    ek_hashes_path: path.optional(),
    /** Whether `bonafide-server tpm enroll` counts. */
    ek_enrollment: z.boolean().default(false),
    ek_trust: z.enum(['certificate', 'allow_list', 'either', 'both']).default('either'),
    policy: policySchema.prefault({}),
    proof: proofSchema.prefault({}),
  })
  .superRefine((config, context) => {
    const { ek_trust: trust } = config;
    const hasRoots = config.ek_roots !== undefined;
    const hasList = config.ek_hashes_path !== undefined || config.ek_enrollment;
    const refuse = (message: string): void => {
      context.addIssue({ code: 'custom', path: ['ek_trust'], message });
    };
    if (trust === 'either' && !hasRoots && !hasList) {
      refuse('no TPM is trusted; set ek_roots, ek_hashes_path or ek_enrollment: true');
    }
    if ((trust === 'certificate' || trust === 'both') && !hasRoots) {
      refuse(`is ${trust}, and there are no ek_roots`);
    }
    if ((trust === 'allow_list' || trust === 'both') && !hasList) {
      refuse(`is ${trust}, and there is neither ek_hashes_path nor ek_enrollment: true`);
    }
  });

export type TpmConfig = z.output<typeof tpmConfigSchema>;
export type TpmPolicyConfig = TpmConfig['policy'];

function parseInterval(text: string): number {
  const seconds = parseDuration(text);
  if (seconds === 0 || seconds >= SHORTEST_INTERVAL_SECONDS) return seconds;
  throw invalidArgument(`${text} is not an interval; expected for example 10m, or 0 for none`);
}
