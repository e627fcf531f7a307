/** Which of SPIRE's authorities can go on signing here: those whose private key is at hand and is the one that was published. */
import { anchorsOf } from '@bonafide/shared/crypto/anchors-of';
import { exportSpki } from '@bonafide/shared/crypto/private-key-encoding';
import { parseX509Certificate } from '@bonafide/shared/crypto/x509-certificate';
import type { TrustBundle } from '@bonafide/shared/bundle/trust-bundle';
import type { StoredKey } from '../authority/key-file.js';
import { anchorId } from '../authority/upstream/trust-anchor.js';
import type { AuthorityRecord } from '../store/authority-record.js';
import { isPastUse } from '../trust-bundle/merge-bundle.js';
import type { CaJournal, JournaledAuthority, JournaledX509Authority } from './ca-journal.js';
import type { Finding, SpireState } from './spire-state.js';

export interface ChosenAuthorities {
  readonly records: readonly AuthorityRecord[];
  /** By the names that they get here. */
  readonly keys: ReadonlyMap<string, StoredKey>;
  readonly findings: readonly Finding[];
}

export interface AuthorityChoice {
  readonly state: Pick<SpireState, 'bundle' | 'journals'>;
  /** Undefined: the keys are not at hand. */
  readonly keys: ReadonlyMap<string, StoredKey> | undefined;
  readonly serverId: string;
  readonly now: Date;
}

const KEY_ID_PREFIX = { x509: 'x509-ca-', jwt: 'jwt-signer-', wit: 'wit-signer-' } as const;
const WORDS = { x509: 'X.509', jwt: 'JWT', wit: 'WIT' } as const;
const REMEDY_WITHOUT_KEYS =
  'it stays in the bundle until it expires and another one is made here; see "When the keys cannot be had" in docs/migration-from-spire.md';

export function chooseAuthorities(choice: AuthorityChoice): ChosenAuthorities {
  const { state, keys, now } = choice;
  const findings: Finding[] = [];
  const without = (reason: string): ChosenAuthorities => ({
    records: [],
    keys: new Map(),
    findings: [...findings, { kind: 'authorities', name: undefined, reason, remedy: REMEDY_WITHOUT_KEYS }],
  });
  if (keys === undefined) return without('the private keys are not at hand: no --keys was given');
  if (state.journals.length === 0) {
    return without(
      'there is no CA journal that says what the keys are for; name the file with --journal if SPIRE is older than 1.8',
    );
  }
  const own = state.journals.filter((journal) => journal.authorities.some((one) => isKeyOf(one, keys)));
  const [journal] = own;
  if (journal === undefined)
    return without('the keys are those of no authority in a CA journal; is it the key file of this server?');
  if (own.length > 1) return without('the keys are those of several CA journals');
  if (state.journals.length > 1) {
    findings.push({
      kind: 'authorities',
      name: undefined,
      reason: `${state.journals.length - 1} other SPIRE servers on the database have authorities of their own, whose keys are not in the file`,
      remedy:
        'theirs stay in the bundle until they expire: agents follow as long as all servers are replaced at once',
    });
  }
  return { ...recordsOf(journal, choice, keys, findings, now), findings };
}

function recordsOf(
  journal: CaJournal,
  { state: { bundle }, serverId }: AuthorityChoice,
  keys: ReadonlyMap<string, StoredKey>,
  findings: Finding[],
  now: Date,
): Pick<ChosenAuthorities, 'records' | 'keys'> {
  const records: AuthorityRecord[] = [];
  const kept = new Map<string, StoredKey>();
  for (const authority of journal.authorities) {
    const record = recordOf(authority, bundle, serverId);
    if (isPastUse(record, now) || records.some(({ authorityId }) => authorityId === record.authorityId))
      continue;
    const finding = (reason: string): void => {
      const name = `${WORDS[authority.kind]} ${authority.authorityId}`;
      findings.push({ kind: 'authorities', name, reason, remedy: REMEDY_WITHOUT_KEYS });
    };
    if (!isPublished(authority, bundle))
      finding('it is not in the bundle: nobody would believe what it signs');
    else if (authority.slot === 'old') records.push(record);
    else if (!isKeyOf(authority, keys))
      finding(`the key ${authority.keyId} is not in the file, or is another one by now`);
    else {
      const key = keys.get(authority.keyId);
      if (key !== undefined) kept.set(record.keyId, key);
      records.push(record);
    }
  }
  return { records, keys: kept };
}

function recordOf(authority: JournaledAuthority, bundle: TrustBundle, serverId: string): AuthorityRecord {
  const { authorityId, slot, notAfter } = authority;
  // Named after the authority: a second import finds the same key again.
  const keyId = `${KEY_ID_PREFIX[authority.kind]}${authorityId}`;
  if (authority.kind !== 'x509') {
    const { kind, publicKey, issuedAt: notBefore } = authority;
    const isTainted = bundle[`${kind}Authorities`].some((one) => one.keyId === authorityId && one.isTainted);
    return { kind, authorityId, serverId, slot, keyId, publicKey, notBefore, notAfter, isTainted };
  }
  const certificateChain = chainOf(authority);
  const [anchor] = anchorsAbove(authority, bundle);
  const isOwnRoot = authority.upstreamChain.length === 0;
  return {
    kind: 'x509',
    authorityId,
    serverId,
    slot,
    keyId,
    certificateChain,
    upstreamAuthorityId: isOwnRoot || anchor === undefined ? undefined : anchorId(anchor),
    notBefore: parseX509Certificate(authority.certificate).notBefore,
    notAfter: earliestEnd(certificateChain),
    isTainted: anchor?.isTainted ?? false,
  };
}

function chainOf({ certificate, upstreamChain }: JournaledX509Authority): readonly Buffer[] {
  return upstreamChain.length === 0 ? [certificate] : upstreamChain;
}

/** What of the bundle makes it believed: its root, or itself. */
function anchorsAbove(
  authority: JournaledX509Authority,
  bundle: TrustBundle,
): TrustBundle['x509Authorities'] {
  if (authority.upstreamChain.length > 0) return anchorsOf(authority.upstreamChain, bundle.x509Authorities);
  return bundle.x509Authorities.filter(({ certificate }) => certificate.equals(authority.certificate));
}

function isPublished(authority: JournaledAuthority, bundle: TrustBundle): boolean {
  if (authority.kind === 'x509') return anchorsAbove(authority, bundle).length > 0;
  return bundle[`${authority.kind}Authorities`].some(
    ({ keyId, publicKey }) => keyId === authority.authorityId && publicKey.equals(authority.publicKey),
  );
}

/** SPIRE has two key slots and puts a new key where the old one was: the name alone says nothing. */
function isKeyOf(authority: JournaledAuthority, keys: ReadonlyMap<string, StoredKey>): boolean {
  const key = keys.get(authority.keyId);
  if (key === undefined) return false;
  const published =
    authority.kind === 'x509'
      ? exportSpki(parseX509Certificate(authority.certificate).publicKey)
      : authority.publicKey;
  return exportSpki(key.signer.publicKey).equals(published);
}

function earliestEnd(chain: readonly Buffer[]): Date {
  return new Date(Math.min(...chain.map((der) => parseX509Certificate(der).notAfter.getTime())));
}
