/** SPIRE's CA journal: which keys of a server sign, signed or will sign; a protobuf message in the table ca_journals, in older releases a PEM file. */
import { decodePem } from '@bonafide/shared/crypto/pem';
import { parseX509Certificate } from '@bonafide/shared/crypto/x509-certificate';
import { invalidArgument } from '@bonafide/shared/errors/bonafide-error';
import type { AuthoritySlot } from '../store/authority-record.js';
import { ProtobufFields } from './protobuf-fields.js';
import { timeOfSeconds } from './spire-values.js';

interface JournalEntry {
  /** Under which SPIRE's key manager has the key, as long as no other took the slot. */
  readonly keyId: string;
  readonly slot: AuthoritySlot;
  readonly issuedAt: Date;
  readonly notAfter: Date;
  /** Key identifier or `kid`. */
  readonly authorityId: string;
}

export interface JournaledX509Authority extends JournalEntry {
  readonly kind: 'x509';
  readonly certificate: Buffer;
  /** From the certificate up, without the root; empty when it is its own root. */
  readonly upstreamChain: readonly Buffer[];
}

interface JournaledTokenAuthority extends JournalEntry {
  readonly kind: 'jwt' | 'wit';
  readonly publicKey: Buffer;
}

export type JournaledAuthority = JournaledX509Authority | JournaledTokenAuthority;

export interface CaJournal {
  readonly authorities: readonly JournaledAuthority[];
}

const ENTRIES = { x509: 1, jwt: 2, wit: 3 } as const;
const X509 = { slotId: 1, issuedAt: 2, certificate: 3, upstreamChain: 4, status: 5 } as const;
const TOKEN = { slotId: 1, issuedAt: 2, notAfter: 3, kid: 4, publicKey: 5, status: 6 } as const;
const SLOTS: ReadonlyMap<number, AuthoritySlot> = new Map([
  [2, 'prepared'],
  [3, 'active'],
  [4, 'old'],
]);
const KEY_ID_PREFIX = { x509: 'x509-CA-', jwt: 'JWT-Signer-', wit: 'WIT-Signer-' } as const;
const PEM_LABEL = 'SPIRE CA JOURNAL';
const MOST_ENTRIES = 1000;

/** @param text of `journal.pem`. @throws BonafideError `invalid_argument`. */
export function parseJournalPem(text: string): CaJournal {
  const [data, ...more] = decodePem(PEM_LABEL, text);
  if (data === undefined || more.length > 0)
    throw invalidArgument('expected exactly one CA journal in the file');
  return parseCaJournal(data);
}

/** @throws BonafideError `invalid_argument`. */
export function parseCaJournal(data: Buffer): CaJournal {
  const fields = new ProtobufFields(data, 'CA journal');
  const x509 = withSlots(fields.messages(ENTRIES.x509, 'X.509 authority'), X509.status, parseX509Entry);
  const tokens = (['jwt', 'wit'] as const).flatMap((kind) =>
    withSlots(fields.messages(ENTRIES[kind], `${kind.toUpperCase()} key`), TOKEN.status, (entry, slot) =>
      parseTokenEntry(kind, entry, slot),
    ),
  );
  return { authorities: [...x509, ...tokens] };
}

/** Releases before 1.7 wrote no status: the newest of each slot is in use, the older one of the two signs. */
function withSlots<T>(
  entries: readonly ProtobufFields[],
  statusField: number,
  parse: (entry: ProtobufFields, slot: AuthoritySlot) => T,
): readonly T[] {
  if (entries.length > MOST_ENTRIES)
    throw invalidArgument(`CA journal has more than ${MOST_ENTRIES} entries`);
  const hasStatus = entries.some((entry) => entry.count(statusField) !== 0);
  if (hasStatus) {
    return entries.map((entry) => {
      const slot = SLOTS.get(entry.count(statusField));
      if (slot === undefined) throw invalidArgument('CA journal has an entry of unknown status');
      return parse(entry, slot);
    });
  }
  const newestOfSlot = new Map(entries.map((entry, index) => [entry.text(1), index]));
  const current = [...newestOfSlot.values()].sort((one, other) => one - other).slice(-2);
  return entries.map((entry, index) => {
    const place = current.indexOf(index);
    return parse(entry, place === -1 ? 'old' : place === 0 ? 'active' : 'prepared');
  });
}

function parseX509Entry(entry: ProtobufFields, slot: AuthoritySlot): JournaledX509Authority {
  const certificate = entry.bytes(X509.certificate);
  const { subjectKeyId, notAfter } = parseX509Certificate(certificate);
  if (subjectKeyId === undefined)
    throw invalidArgument('CA journal has a certificate without a key identifier');
  return {
    kind: 'x509',
    keyId: `${KEY_ID_PREFIX.x509}${entry.text(X509.slotId)}`,
    slot,
    issuedAt: timeOfSeconds(entry.count(X509.issuedAt), 'issued_at'),
    notAfter,
    authorityId: subjectKeyId,
    certificate,
    upstreamChain: entry.allBytes(X509.upstreamChain),
  };
}

function parseTokenEntry(
  kind: 'jwt' | 'wit',
  entry: ProtobufFields,
  slot: AuthoritySlot,
): JournaledTokenAuthority {
  const authorityId = entry.text(TOKEN.kid);
  if (authorityId === '') throw invalidArgument('CA journal has a signing key without a key id');
  return {
    kind,
    keyId: `${KEY_ID_PREFIX[kind]}${entry.text(TOKEN.slotId)}`,
    slot,
    issuedAt: timeOfSeconds(entry.count(TOKEN.issuedAt), 'issued_at'),
    notAfter: timeOfSeconds(entry.count(TOKEN.notAfter), 'not_after'),
    authorityId,
    publicKey: entry.bytes(TOKEN.publicKey),
  };
}
