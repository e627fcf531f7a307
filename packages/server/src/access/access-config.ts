/** The key `access` of the configuration file: the roles of teams, and the socket through which their local users call. */
import { durationSchema } from '@bonafide/shared/config/duration';
import { parsedString } from '@bonafide/shared/config/parsed-string';
import { invalidArgument } from '@bonafide/shared/errors/bonafide-error';
import { isReserved, parseSpiffeId, type SpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';
import { parseTrustDomain, type TrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';
import { z } from 'zod';
import { VERBS, type AccessRole, type Verb } from './access-role.js';
import { parseDnsNamePattern } from './dns-name-pattern.js';
import { parseSelectorPattern } from './selector-pattern.js';
import { parseSpiffeIdPattern, parseSpiffeIdPrefix } from './spiffe-id-pattern.js';

const MOST_ROLES = 1000;
const MOST_LISTED = 1000;
const LARGEST_ID = 2 ** 32 - 2;
const WRITING: readonly Verb[] = ['create', 'update', 'delete'];

const never = (what: string): z.ZodType<boolean, boolean> =>
  z.boolean().refine((value) => !value, {
    message: `is never true: ${what} entries give rights over the whole trust domain`,
  });

const localId = z.int().min(1).max(LARGEST_ID);

const memberSchema = z.union([
  parsedString(parseMember),
  z
    .strictObject({ uid: localId.optional(), gid: localId.optional() })
    .refine(({ uid, gid }) => (uid === undefined) !== (gid === undefined), {
      message: 'is no member; expected a SPIFFE ID, { uid: 1001 } or { gid: 1001 }',
    }),
]);

const roleSchema = z
  .strictObject({
    /** IDs of entries that its members choose begin with it, too. */
    name: z.string().regex(/^[a-z0-9][a-z0-9_-]{0,62}$/, {
      message: 'is no name of a role; expected at most 63 of a-z, 0-9, - and _, for example team-a',
    }),
    spiffe_id_prefix: parsedString(parseSpiffeIdPrefix),
    verbs: z.array(z.enum(VERBS)).min(1),
    selectors: z.array(parsedString(parseSelectorPattern)).max(MOST_LISTED).default([]),
    parent_ids: z.array(parsedString(parseSpiffeIdPattern)).max(MOST_LISTED).default([]),
    may_set: z
      .strictObject({
        admin: never('admin').optional(),
        downstream: never('downstream').optional(),
        federates_with: z.array(parsedString(parseTrustDomain)).max(MOST_LISTED).default([]),
        dns_names: z.array(parsedString(parseDnsNamePattern)).max(MOST_LISTED).default([]),
        store_svid: z.boolean().default(false),
        /** The longest that its SVIDs may live; as long as anybody's when absent. */
        ttl: durationSchema
          .refine((seconds) => seconds >= 1, { message: 'is shorter than a second' })
          .optional(),
      })
      .prefault({}),
    members: z.array(memberSchema).min(1).max(MOST_LISTED),
  })
  .refine(({ verbs }) => verbs.includes('read') || !verbs.some((verb) => WRITING.includes(verb)), {
    path: ['verbs'],
    message: 'has create, update or delete without read; add read: what is written is shown',
  })
  .refine(({ verbs, selectors }) => selectors.length > 0 || !verbs.some((verb) => WRITING.includes(verb)), {
    path: ['selectors'],
    message:
      "is empty, so that no entry could be written; expected for example ['k8s:ns:team-a'], or ['*'] for any",
  })
  .refine(({ verbs, parent_ids: parents }) => parents.length > 0 || !verbs.some(needsParents), {
    path: ['parent_ids'],
    message:
      'is empty, so that no entry could be written and no agent be seen; expected for example [spiffe://example.org/team-a/nodes]',
  });

export const accessSchema = z
  .strictObject({
    roles: z.array(roleSchema).max(MOST_ROLES).default([]),
    /** A second socket of the same API, for local users who have a role and do not own the admin socket. */
    socket: z
      .strictObject({
        path: z.string().min(1),
        mode: z
          .string()
          .regex(/^0?[0-7]{3}$/, { message: 'is no file mode; expected for example "0660"' })
          .default('0660'),
        /** Its gid, or its name in /etc/group. */
        group: z.union([z.string().min(1), z.int().min(0).max(LARGEST_ID)]).optional(),
      })
      .optional(),
  })
  .refine(({ roles }) => new Set(roles.map(({ name }) => name)).size === roles.length, {
    path: ['roles'],
    message: 'has two roles of one name; expected a name of its own for each',
  });

export type AccessConfig = z.output<typeof accessSchema>;

/** Undefined when every role is about IDs of the trust domain, outside of what is kept for servers and agents. */
export function strayRole(
  { roles }: AccessConfig,
  trustDomain: TrustDomain,
): { readonly path: readonly (string | number)[]; readonly message: string } | undefined {
  const own = `spiffe://${trustDomain}/`;
  for (const [index, role] of roles.entries()) {
    const prefix = role.spiffe_id_prefix;
    const at = ['access', 'roles', index];
    if (!prefix.startsWith(own) || prefix.startsWith(`${own}spire/`)) {
      const message = `is ${prefix}, which is not for workloads of ${trustDomain}; expected for example ${own}team-a/`;
      return { path: [...at, 'spiffe_id_prefix'], message };
    }
    const stray = role.parent_ids.findIndex(({ start }) => !start.startsWith(own));
    if (stray !== -1) {
      const message = `is not in trust domain ${trustDomain}; expected for example ${own}team-a/nodes`;
      return { path: [...at, 'parent_ids', stray], message };
    }
  }
  return undefined;
}

export function rolesFromConfig({ roles }: AccessConfig): readonly AccessRole[] {
  return roles.map(
    ({
      name,
      spiffe_id_prefix: spiffeIdPrefix,
      verbs,
      selectors,
      parent_ids: parents,
      may_set: maySet,
      members,
    }) => ({
      name,
      spiffeIdPrefix,
      verbs: new Set(verbs),
      selectors,
      parents,
      maySet: {
        federatesWith: new Set(maySet.federates_with),
        dnsNames: maySet.dns_names,
        storesSvid: maySet.store_svid,
        mostTtlSeconds: maySet.ttl,
      },
      members: {
        spiffeIds: new Set(members.filter((member) => typeof member === 'string')),
        uids: new Set(members.flatMap((member) => (typeof member === 'string' ? [] : (member.uid ?? [])))),
        gids: new Set(members.flatMap((member) => (typeof member === 'string' ? [] : (member.gid ?? [])))),
      },
    }),
  );
}

function needsParents(verb: Verb): boolean {
  return WRITING.includes(verb) || verb === 'read_agents';
}

function parseMember(text: string): SpiffeId {
  const id = parseSpiffeId(text);
  if (isReserved(id)) throw invalidArgument('agents and servers have no roles');
  return id;
}
