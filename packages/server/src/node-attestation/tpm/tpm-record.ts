/** What the server notes of a TPM and its machine from one proof to the next. */
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import { PCR_BANKS } from '@bonafide/shared/tpm/algorithm';
import { z } from 'zod';

const digest = z.string().regex(/^(?:[0-9a-f]{2}){20,64}$/);
const pcrsSchema = z.partialRecord(z.enum(PCR_BANKS), z.record(z.string().regex(/^\d{1,2}$/), digest));
const count = z
  .int()
  .min(0)
  .max(2 ** 32 - 1);

const secureBootSchema = z.strictObject({
  isEnabled: z.boolean(),
  isDebug: z.boolean(),
  dbAuthorities: z.array(digest),
});

/** What a boot log was worth: there was none, it was none of this boot, or its replay led to the PCRs. */
const bootLogSchema = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('none') }),
  z.strictObject({ kind: z.literal('refused'), problem: z.string() }),
  z.strictObject({
    kind: z.literal('replayed'),
    /** Absent: not provable; then `secureBootProblem` says why. */
    secureBoot: secureBootSchema.optional(),
    secureBootProblem: z.string().optional(),
    /** As `bootLogSummarySchema` has it, which whoever reads it checks: most proofs do not. */
    summary: z.unknown(),
  }),
]);

const imaSchema = z.strictObject({
  /** Of the allow-list by which the entries were judged. */
  version: z.string(),
  bank: z.enum(PCR_BANKS),
  count: z.int().min(0),
  aggregate: digest,
});

/** A machine in one boot, as its TPM signed it. */
const nodeStateSchema = z.strictObject({
  pcrs: pcrsSchema,
  resetCount: count,
  restartCount: count,
  /** Milliseconds, in decimal; when this state was first seen. */
  clock: z.string().regex(/^\d{1,20}$/),
  /** Lower-case hex. */
  firmwareVersion: z.string().regex(/^[0-9a-f]{1,16}$/),
  bootLog: bootLogSchema,
  /** Up to where the list of measured files was judged; absent: never. */
  ima: imaSchema.optional(),
});

const tpmRecordSchema = z.strictObject({
  version: z.literal(1),
  /** TPMT_PUBLIC of the one key that signs for this TPM, base64; absent: an operator had the server forget it. */
  akPublic: z.string().optional(),
  ek: z.strictObject({
    isCertified: z.boolean(),
    authorities: z.array(digest),
    manufacturer: z.string().optional(),
  }),
  /** The last state that was accepted: what the machine is meant to be. */
  expected: nodeStateSchema,
  /** The last state, when it was not accepted. */
  shown: nodeStateSchema.optional(),
});

export type TpmRecord = z.output<typeof tpmRecordSchema>;
export type NodeState = TpmRecord['expected'];
export type BootLogVerdict = NodeState['bootLog'];
export type ImaPosition = NonNullable<NodeState['ima']>;

/** @throws BonafideError `internal`: the server wrote it itself. */
export function parseTpmRecord(text: string): TpmRecord {
  try {
    return tpmRecordSchema.parse(JSON.parse(text));
  } catch (error) {
    throw new BonafideError('internal', 'what was noted of the TPM cannot be read', { cause: error });
  }
}

export function formatTpmRecord(record: TpmRecord): string {
  return JSON.stringify(record);
}

/** What was shown last is expected from now on. */
export function acceptShown({ shown, ...record }: TpmRecord): TpmRecord {
  return shown === undefined ? record : { ...record, expected: shown };
}

/** The next proof sets it anew. */
export function forgetAttestationKey(record: TpmRecord): TpmRecord {
  return { ...record, akPublic: undefined };
}
