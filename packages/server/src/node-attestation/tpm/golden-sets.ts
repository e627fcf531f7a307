/** Golden sets: by name, the values that PCRs have on machines that run what they should. */
import { PCR_BANKS, digestBytes, type PcrBank } from '@bonafide/shared/tpm/algorithm';
import { z } from 'zod';
import { pcrDigestSchema } from './parse-hex-digest.js';

/** By bank and PCR, the digests (lower-case hex) that are right. */
export type GoldenPcrs = ReadonlyMap<PcrBank, ReadonlyMap<number, ReadonlySet<string>>>;
export type GoldenSets = ReadonlyMap<string, GoldenPcrs>;

const MOST_VALUES = 256;
/** PCRs 16 to 23 can be reset by whoever is root: they prove nothing. */
export const HIGHEST_PCR = 15;

/** A key of a YAML map: `7`, whether it was written as a number or as text. */
const PCR_INDEX = /^(?:\d|1[0-5])$/;

const bankSchema = z
  .record(z.string(), z.array(pcrDigestSchema).min(1).max(MOST_VALUES))
  .superRefine((pcrs, context) => {
    for (const key of Object.keys(pcrs).filter((text) => !PCR_INDEX.test(text))) {
      context.addIssue({ code: 'custom', path: [key], message: `is not a PCR from 0 to ${HIGHEST_PCR}` });
    }
  })
  .refine((pcrs) => Object.keys(pcrs).length > 0, { message: 'names no PCR' });

const setSchema = z
  .partialRecord(z.enum(PCR_BANKS), bankSchema)
  .refine((banks) => Object.keys(banks).length > 0, {
    message: `names no bank; expected ${PCR_BANKS.join(', ')}`,
  })
  .superRefine((banks, context) => {
    for (const bank of PCR_BANKS) {
      for (const [pcr, digests] of Object.entries(banks[bank] ?? {})) {
        for (const digest of digests.filter((text) => text.length !== digestBytes(bank) * 2)) {
          context.addIssue({
            code: 'custom',
            path: [bank, pcr],
            message: `${digest} is not a digest of ${bank}`,
          });
        }
      }
    }
  })
  .transform(
    (banks): GoldenPcrs =>
      new Map(
        PCR_BANKS.flatMap((bank) => {
          const pcrs = banks[bank];
          if (pcrs === undefined) return [];
          return [
            [
              bank,
              new Map(Object.entries(pcrs).map(([pcr, digests]) => [Number(pcr), new Set(digests)])),
            ] as const,
          ];
        }),
      ),
  );

export const goldenSetsSchema = z
  .record(z.string().min(1).max(128), setSchema)
  .transform((sets): GoldenSets => new Map(Object.entries(sets)));

/** What of the set cannot be seen in a node's quotes, in words; undefined: all of it can. */
export function unquotedPart(
  set: GoldenPcrs,
  policy: { readonly allow_sha1: boolean; readonly pcrs: readonly number[] },
): string | undefined {
  for (const [bank, pcrs] of set) {
    if (bank === 'sha1' && !policy.allow_sha1) return 'the bank sha1, which proves nothing';
    for (const pcr of pcrs.keys()) {
      if (!policy.pcrs.includes(pcr)) return `PCR ${pcr}, which policy.pcrs does not name`;
    }
  }
  return undefined;
}
