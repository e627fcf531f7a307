/** Lets the parsers of our own words (SPIFFE IDs, trust domains, durations) check values of a configuration file. */
import { z } from 'zod';
import { BonafideError } from '../errors/bonafide-error.js';

/** @param about for the published JSON Schema. @param parse what it throws as a BonafideError becomes the problem's text; anything else is a defect and passes through. */
export function parsedString<T>(parse: (text: string) => T, about?: string): z.ZodType<T, string> {
  const text = about === undefined ? z.string() : z.string().describe(about);
  return text.transform((text, context) => {
    try {
      return parse(text);
    } catch (error) {
      if (!(error instanceof BonafideError)) throw error;
      context.issues.push({ code: 'custom', message: error.message, input: text });
      return z.NEVER;
    }
  });
}
