/** Bytes in JSON as Go writes them: padded base64, of bounded length. */
import { z } from 'zod';

/** At least one byte. */
export function base64Bytes(most: number): z.ZodType<Buffer, string> {
  return z
    .base64()
    .min(1)
    .max(Math.ceil(most / 3) * 4)
    .transform((text) => Buffer.from(text, 'base64'))
    .refine((bytes) => bytes.length <= most);
}

export function base64Nonce(length: number): z.ZodType<Buffer, string> {
  return base64Bytes(length).refine((bytes) => bytes.length === length);
}
