/** The kinds of fields that messages of the `tpm` attestor are made of. */
import { z } from 'zod';
import { PCR_BANKS, PCR_COUNT, digestBytes } from '../algorithm.js';

/** Bytes in standard base64, in their one encoding. */
export function base64Field(maximumBytes: number, minimumBytes = 1): z.ZodType<Buffer> {
  return z
    .string()
    .max(Math.ceil(maximumBytes / 3) * 4)
    .transform((text, context) => {
      const bytes = Buffer.from(text, 'base64');
      const isExact =
        bytes.length >= minimumBytes && bytes.length <= maximumBytes && bytes.toString('base64') === text;
      if (!isExact)
        context.addIssue({
          code: 'custom',
          message: `not ${minimumBytes} to ${maximumBytes} bytes in base64`,
        });
      return bytes;
    });
}

export const bankField = z.enum(PCR_BANKS);

export const banksField = z
  .array(bankField)
  .min(1)
  .max(PCR_BANKS.length)
  .refine((banks) => new Set(banks).size === banks.length, 'a bank twice');

const pcrField = z
  .int()
  .min(0)
  .max(PCR_COUNT - 1);

export const pcrsField = z
  .array(pcrField)
  .min(1)
  .max(PCR_COUNT)
  .refine((pcrs) => new Set(pcrs).size === pcrs.length, 'a PCR twice');

/** Values by PCR: `{"0": "<base64>", …}`. */
export const pcrValuesField = z
  .record(z.string().regex(/^(?:\d|1\d|2[0-3])$/), base64Field(digestBytes('sha512'), digestBytes('sha1')))
  .transform((values): ReadonlyMap<number, Buffer> => {
    const entries = Object.entries(values).map(([pcr, value]): [number, Buffer] => [Number(pcr), value]);
    return new Map(entries);
  });
