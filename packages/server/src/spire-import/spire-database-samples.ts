/** A datastore of SPIRE's as its models describe it, filled by hand: for tests. */
import { generatePrivateKey } from '@bonafide/shared/crypto/generate-key';
import { exportPkcs8, exportSpki } from '@bonafide/shared/crypto/private-key-encoding';
import { createSelfSignedAuthority } from '@bonafide/shared/crypto/self-signed-authority';
import { createKeySigner } from '@bonafide/shared/crypto/signer';
import { parseX509Certificate } from '@bonafide/shared/crypto/x509-certificate';
import { parseTrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';

/** Schema 25; `%ID` and `%TIME` and `%BLOB` are what the two databases call them. */
const TABLES = [
  'migrations (id %ID, created_at %TIME, updated_at %TIME, version integer, code_version varchar(255))',
  'bundles (id %ID, created_at %TIME, updated_at %TIME, trust_domain varchar(255) NOT NULL, data %BLOB)',
  'registered_entries (id %ID, created_at %TIME, updated_at %TIME, entry_id varchar(255), spiffe_id varchar(255), parent_id varchar(255), ttl integer, admin %BOOL, downstream %BOOL, expiry bigint, revision_number bigint, store_svid %BOOL, hint varchar(255), jwt_svid_ttl integer, additional_attributes %BLOB)',
  'selectors (id %ID, created_at %TIME, updated_at %TIME, registered_entry_id integer, type varchar(255), value varchar(255))',
  'dns_names (id %ID, created_at %TIME, updated_at %TIME, registered_entry_id integer, value varchar(255))',
  'federated_registration_entries (bundle_id integer, registered_entry_id integer, PRIMARY KEY (bundle_id, registered_entry_id))',
  'attested_node_entries (id %ID, created_at %TIME, updated_at %TIME, spiffe_id varchar(255), data_type varchar(255), serial_number varchar(255), expires_at %TIME, new_serial_number varchar(255), new_expires_at %TIME, can_reattest %BOOL, agent_version varchar(255))',
  'node_resolver_map_entries (id %ID, created_at %TIME, updated_at %TIME, spiffe_id varchar(255), type varchar(255), value varchar(255))',
  'join_tokens (id %ID, created_at %TIME, updated_at %TIME, token varchar(255), expiry bigint)',
  'federated_trust_domains (id %ID, created_at %TIME, updated_at %TIME, trust_domain varchar(255) NOT NULL, bundle_endpoint_url varchar(255), bundle_endpoint_profile varchar(255), endpoint_spiffe_id varchar(255), implicit %BOOL)',
  'ca_journals (id %ID, created_at %TIME, updated_at %TIME, data %BLOB, active_x509_authority_id varchar(255), active_jwt_authority_id varchar(255))',
] as const;

const WORDS = {
  sqlite: { ID: 'integer primary key autoincrement', TIME: 'datetime', BLOB: 'blob', BOOL: 'bool' },
  postgres: { ID: 'serial primary key', TIME: 'timestamp with time zone', BLOB: 'bytea', BOOL: 'boolean' },
} as const;

export type Dialect = keyof typeof WORDS;

export function createTables(dialect: Dialect): readonly string[] {
  const words = WORDS[dialect];
  return TABLES.map((text) =>
    Object.entries(words).reduce(
      (made, [name, word]) => made.replaceAll(`%${name}`, word),
      `CREATE TABLE ${text}`,
    ),
  );
}

/** A row of values that SQL can say: texts, numbers, booleans, bytes and nothing. */
export type SampleRow = Readonly<Record<string, string | number | boolean | Buffer | null>>;

export function insertRow(dialect: Dialect, table: string, row: SampleRow): string {
  const literal = (value: SampleRow[string]): string => {
    if (value === null) return 'NULL';
    if (Buffer.isBuffer(value))
      return dialect === 'sqlite' ? `x'${value.toString('hex')}'` : `'\\x${value.toString('hex')}'`;
    if (typeof value === 'boolean') return dialect === 'sqlite' ? (value ? '1' : '0') : String(value);
    return typeof value === 'number' ? String(value) : `'${value.replaceAll("'", "''")}'`;
  };
  return `INSERT INTO ${table} (${Object.keys(row).join(', ')}) VALUES (${Object.values(row).map(literal).join(', ')})`;
}

/** Protobuf: `[field, number | bytes | text | fields]`. */
export type ProtobufField = readonly [number, number | Buffer | string | readonly ProtobufField[]];

export function encodeProtobuf(fields: readonly ProtobufField[]): Buffer {
  return Buffer.concat(
    fields.map(([number, value]) => {
      if (typeof value === 'number') return Buffer.concat([varint(number * 8), varint(value)]);
      const bytes =
        typeof value === 'string'
          ? Buffer.from(value)
          : Buffer.isBuffer(value)
            ? value
            : encodeProtobuf(value);
      return Buffer.concat([varint(number * 8 + 2), varint(bytes.length), bytes]);
    }),
  );
}

function varint(value: number): Buffer {
  const bytes: number[] = [];
  let rest = BigInt(value);
  do {
    bytes.push(Number(rest & 0x7fn) | (rest > 0x7fn ? 0x80 : 0));
    rest >>= 7n;
  } while (rest > 0n);
  return Buffer.from(bytes);
}

export interface SampleAuthorities {
  readonly certificate: Buffer;
  readonly x509AuthorityId: string;
  readonly keyId: string;
  readonly bundle: Buffer;
  readonly journal: Buffer;
  /** As keys.json. */
  readonly keysJson: string;
}

/** An active X.509 and an active JWT authority, with their keys. @param trustDomain whose. */
export async function createSampleAuthorities(
  now: Date,
  trustDomain = 'example.org',
): Promise<SampleAuthorities> {
  const [x509Key, jwtKey] = [await generatePrivateKey('ec-p256'), await generatePrivateKey('ec-p256')];
  const notBefore = new Date(Math.floor(now.getTime() / 1000) * 1000 - 60_000);
  const notAfter = new Date(notBefore.getTime() + 24 * 3600_000);
  const certificate = await createSelfSignedAuthority({
    trustDomain: parseTrustDomain(trustDomain),
    signer: createKeySigner(x509Key),
    notBefore,
    notAfter,
    subject: undefined,
  });
  const keyId = 'jwt-key-of-spire';
  const spki = exportSpki(jwtKey);
  const [from, to] = [notBefore.getTime() / 1000, notAfter.getTime() / 1000];
  return {
    certificate,
    x509AuthorityId: parseX509Certificate(certificate).subjectKeyId ?? '',
    keyId,
    bundle: encodeProtobuf([
      [1, `spiffe://${trustDomain}`],
      [2, [[1, certificate]]],
      [
        3,
        [
          [1, spki],
          [2, keyId],
          [3, to],
        ],
      ],
      [4, 300],
      [5, 7],
    ]),
    journal: encodeProtobuf([
      [
        1,
        [
          [1, 'A'],
          [2, from],
          [3, certificate],
          [5, 3],
          [7, to],
        ],
      ],
      [
        2,
        [
          [1, 'A'],
          [2, from],
          [3, to],
          [4, keyId],
          [5, spki],
          [6, 3],
        ],
      ],
    ]),
    keysJson: JSON.stringify({
      keys: {
        'x509-CA-A': exportPkcs8(x509Key).toString('base64'),
        'JWT-Signer-A': exportPkcs8(jwtKey).toString('base64'),
      },
    }),
  };
}
