/** What every configuration file says of an ACME authority and our account there, by SPIRE's names. */
import { z } from 'zod';
import { parsedString } from '../../config/parsed-string.js';
import { invalidArgument } from '../../errors/bonafide-error.js';

const LETS_ENCRYPT = 'https://acme-v02.api.letsencrypt.org/directory';

export const acmeAccountSchema = z.strictObject({
  directory_url: parsedString(parseDirectoryUrl).prefault(LETS_ENCRYPT),
  email: z.string().regex(/^[^\s@]+@[^\s@]+$/, 'is no email address'),
  tos_accepted: z
    .boolean()
    .default(false)
    .refine((isAccepted) => isAccepted, {
      message:
        'must be true: it says that you have read and accept the terms of service of the ACME authority',
    }),
});

function parseDirectoryUrl(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url?.protocol === 'https:') return url;
  throw invalidArgument(`${JSON.stringify(text)} is no https URL; expected for example ${LETS_ENCRYPT}`);
}
