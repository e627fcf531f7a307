/** Entries from a file, in SPIRE's form `{"entries": [...]}`, JSON or YAML; every mistake is told with its entry and place. */
import type { CommandHost } from '@bonafide/shared/cli/command-host';
import { parseConfig } from '@bonafide/shared/config/load-config';
import { parsedString } from '@bonafide/shared/config/parsed-string';
import { createSelector } from '@bonafide/shared/registration/selector';
import { spiffeIdToProto } from '@bonafide/shared/rpc/codec/spiffe-id';
import type { Entry__Output } from '@bonafide/shared/rpc/gen/spire/api/types/Entry';
import { parseSpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';
import { parseTrustDomainOrId } from '@bonafide/shared/spiffe-id/trust-domain';
import { z } from 'zod';
import { inputName, readInput } from '../read-input.js';

export const LARGEST_FILE_BYTES = 64 * 1024 * 1024;

const seconds = z
  .int()
  .min(0)
  .max(2 ** 31 - 1)
  .default(0);
const wholeNumber = z.int().min(0).default(0);
const flag = z.boolean().default(false);

const selectorSchema = z.strictObject({ type: z.string(), value: z.string() }).pipe(
  z.transform(({ type, value }, context) => {
    try {
      return createSelector(type, value);
    } catch (error) {
      context.issues.push({ code: 'custom', message: (error as Error).message, input: { type, value } });
      return z.NEVER;
    }
  }),
);

export const entrySchema = z.strictObject({
  spiffe_id: parsedString(parseSpiffeId),
  parent_id: parsedString(parseSpiffeId),
  selectors: z.array(selectorSchema).min(1),
  x509_svid_ttl: seconds,
  jwt_svid_ttl: seconds,
  federates_with: z.array(parsedString(parseTrustDomainOrId)).default([]),
  entry_id: z.string().default(''),
  admin: flag,
  downstream: flag,
  entryExpiry: wholeNumber,
  dns_names: z.array(z.string()).default([]),
  store_svid: flag,
  hint: z.string().default(''),
  revision_number: wholeNumber,
  created_at: wholeNumber,
  additional_attributes: z
    .strictObject({ disable_x509_svid_prefetch: flag, jwt_svid_include_jti: flag })
    .optional(),
});

const fileSchema = z.strictObject({ entries: z.array(entrySchema).min(1) });
const idsSchema = z.strictObject({ ids: z.array(z.string().min(1)).min(1) });

/** @param path `-` for standard input. @throws BonafideError `invalid_argument` listing all mistakes. */
export async function readEntryFile(path: string, host: CommandHost): Promise<readonly Entry__Output[]> {
  const text = await readInput(path, host, LARGEST_FILE_BYTES);
  return parseConfig(inputName(path), text, fileSchema).entries.map(entryMessage);
}

export function entryMessage(entry: z.output<typeof entrySchema>): Entry__Output {
  return {
    id: entry.entry_id,
    spiffeId: spiffeIdToProto(entry.spiffe_id),
    parentId: spiffeIdToProto(entry.parent_id),
    selectors: entry.selectors,
    x509SvidTtl: entry.x509_svid_ttl,
    jwtSvidTtl: entry.jwt_svid_ttl,
    federatesWith: entry.federates_with,
    dnsNames: entry.dns_names,
    admin: entry.admin,
    downstream: entry.downstream,
    storeSvid: entry.store_svid,
    expiresAt: entry.entryExpiry,
    hint: entry.hint,
    revisionNumber: entry.revision_number,
    createdAt: entry.created_at,
    additionalAttributes:
      entry.additional_attributes === undefined
        ? null
        : {
            disableX509SvidPrefetch: entry.additional_attributes.disable_x509_svid_prefetch,
            jwtSvidIncludeJti: entry.additional_attributes.jwt_svid_include_jti,
          },
  };
}

/** The file of `entry delete --file`: `{"ids": [...]}`. */
export async function readEntryIdFile(path: string, host: CommandHost): Promise<readonly string[]> {
  return parseConfig(inputName(path), await readInput(path, host, LARGEST_FILE_BYTES), idsSchema).ids;
}
