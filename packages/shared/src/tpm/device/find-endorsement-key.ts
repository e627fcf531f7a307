/** Which endorsement key a TPM has, with the certificate of its maker when there is one (TCG EK Credential Profile 2.5 section 2.2). */
import { X509Certificate } from 'node:crypto';
import { DER_TAG } from '../../crypto/der/der-tag.js';
import { DerReader } from '../../crypto/der/der-reader.js';
import { BonafideError, hasReason } from '../../errors/bonafide-error.js';
import { checkEndorsementKey } from '../proof/check-endorsement-key.js';
import { readHandles } from './commands/capability.js';
import { readNv } from './commands/nv.js';
import { createPrimary, readPublic } from './commands/objects.js';
import { EK_TEMPLATE, encodeKeyTemplate, type KeyTemplate } from '../key-template.js';
import { publicKeyOf, type TpmPublic } from '../tpm-public.js';
import type { TpmAuthorization, TpmTurn } from './tpm.js';

export interface EndorsementKey {
  readonly public: TpmPublic;
  /** DER, over exactly this key. */
  readonly certificate: Buffer | undefined;
  /** DER, as the TPM has them: issuers of the certificate, in no promised order. */
  readonly chain: readonly Buffer[];
  /** Where it stays loaded, or how it is made again. */
  readonly source: { readonly handle: number } | { readonly template: Buffer };
}

export interface HierarchyPasswords {
  readonly endorsement: TpmAuthorization;
  readonly owner: TpmAuthorization;
}

const FIRST_PERSISTENT = 0x81010000;
const LAST_PERSISTENT = 0x8101ffff;
/** RSA-2048, and the highest of the high range: where firmware and provisioning leave them. */
const PREFERRED_PERSISTENT: readonly number[] = [0x81010001, 0x81010016];
const MOST_PERSISTENT = 8;
const FIRST_NV = 0x01c00000;
const CERTIFICATES: ReadonlyMap<number, KeyTemplate> = new Map<number, KeyTemplate>([
  [0x01c00002, EK_TEMPLATE.lowRsa2048],
  [0x01c0000a, EK_TEMPLATE.lowP256],
  [0x01c00012, EK_TEMPLATE.highRsa2048],
  [0x01c00014, EK_TEMPLATE.highP256],
  [0x01c00016, EK_TEMPLATE.highP384],
]);
const FIRST_CHAIN = 0x01c00100;
const LAST_CHAIN = 0x01c001ff;
const MOST_CHAIN_CERTIFICATES = 8;

interface StoredCertificate {
  readonly der: Buffer;
  readonly spki: Buffer;
  readonly type: TpmPublic['type'];
  readonly template: Buffer;
}

/**
 * A persistent key with a certificate; else one that is made again and has a certificate; else a persistent one; else RSA-2048, or P-256.
 * @param type the one that is wanted; unless told, either.
 * @throws BonafideError when the TPM makes none.
 */
export async function findEndorsementKey(
  turn: TpmTurn,
  passwords: HierarchyPasswords,
  type?: TpmPublic['type'],
): Promise<EndorsementKey> {
  const isWanted = (key: { readonly type: TpmPublic['type'] }): boolean =>
    type === undefined || key.type === type;
  const indexes = await readHandles(turn, FIRST_NV);
  const certificates = (await readCertificates(turn, indexes, passwords.owner)).filter(isWanted);
  const chain = await readChain(turn, indexes, passwords.owner);
  const persistent = (await persistentKeys(turn)).filter((key) => isWanted(key.public));
  for (const key of persistent) {
    const certificate = certificates.find((stored) => stored.spki.equals(spkiOf(key.public)))?.der;
    if (certificate !== undefined) return { ...key, certificate, chain };
  }
  for (const { der, spki, template } of certificates) {
    const made = await makeKey(turn, template, passwords.endorsement);
    if (made !== undefined && spki.equals(spkiOf(made)))
      return { public: made, certificate: der, chain, source: { template } };
  }
  const [first] = persistent;
  if (first !== undefined) return { ...first, certificate: undefined, chain };
  const usual = [EK_TEMPLATE.lowRsa2048, EK_TEMPLATE.lowP256].filter(({ key }) => isWanted(key));
  for (const template of usual.map(encodeKeyTemplate)) {
    const made = await makeKey(turn, template, passwords.endorsement);
    if (made !== undefined) return { public: made, certificate: undefined, chain, source: { template } };
  }
  throw new BonafideError(
    'failed_precondition',
    `the TPM makes no endorsement key: ${type === 'ecc' ? '' : 'RSA-2048'}${type === undefined ? ' or ' : ''}${type === 'rsa' ? '' : 'EC P-256'}`,
  );
}

async function persistentKeys(
  turn: TpmTurn,
): Promise<readonly { readonly public: TpmPublic; readonly source: { readonly handle: number } }[]> {
  const handles = (await readHandles(turn, FIRST_PERSISTENT)).filter(
    (handle) => handle >= FIRST_PERSISTENT && handle <= LAST_PERSISTENT,
  );
  const preferred = PREFERRED_PERSISTENT.filter((handle) => handles.includes(handle));
  const others = handles.filter((handle) => !preferred.includes(handle));
  const keys: { public: TpmPublic; source: { handle: number } }[] = [];
  for (const handle of [...preferred, ...others].slice(0, MOST_PERSISTENT)) {
    const key = await readPublic(turn, handle).catch(undefinedIfUnfit);
    if (key !== undefined && isEndorsementKey(key)) keys.push({ public: key, source: { handle } });
  }
  return keys;
}

async function makeKey(
  turn: TpmTurn,
  template: Buffer,
  authorization: TpmAuthorization,
): Promise<TpmPublic | undefined> {
  try {
    const made = await createPrimary(turn, 'endorsement', { template, authorization });
    await turn.flush(made.handle);
    return isEndorsementKey(made.public) ? made.public : undefined;
  } catch (error) {
    if (hasReason(error, 'unimplemented')) return undefined;
    throw error;
  }
}

async function readCertificates(
  turn: TpmTurn,
  indexes: readonly number[],
  owner: TpmAuthorization,
): Promise<readonly StoredCertificate[]> {
  const certificates: StoredCertificate[] = [];
  for (const [index, template] of CERTIFICATES) {
    if (!indexes.includes(index)) continue;
    const [der] = splitCertificates(await readNv(turn, index, owner), 1);
    const spki = der === undefined ? undefined : certifiedSpki(der);
    if (der !== undefined && spki !== undefined)
      certificates.push({ der, spki, type: template.key.type, template: encodeKeyTemplate(template) });
  }
  return certificates;
}

/** One sequence of certificates, over as many indexes as it takes. */
async function readChain(
  turn: TpmTurn,
  indexes: readonly number[],
  owner: TpmAuthorization,
): Promise<readonly Buffer[]> {
  const pieces: Buffer[] = [];
  for (const index of indexes.filter((handle) => handle >= FIRST_CHAIN && handle <= LAST_CHAIN))
    if (pieces.length < MOST_CHAIN_CERTIFICATES) pieces.push(await readNv(turn, index, owner));
  return splitCertificates(Buffer.concat(pieces), MOST_CHAIN_CERTIFICATES);
}

/** Certificates that follow each other; behind them makers leave zeros or ones. */
function splitCertificates(stored: Buffer, most: number): readonly Buffer[] {
  const certificates: Buffer[] = [];
  const reader = new DerReader(stored, 'certificates in the TPM');
  while (reader.nextTag() === DER_TAG.sequence && certificates.length < most) {
    try {
      certificates.push(Buffer.from(reader.readElement(DER_TAG.sequence, 'certificate')));
    } catch {
      break; // cut short: what came before is whole
    }
  }
  return certificates;
}

function certifiedSpki(der: Buffer): Buffer | undefined {
  try {
    return new X509Certificate(der).publicKey.export({ type: 'spki', format: 'der' });
  } catch {
    return undefined; // not one that we, or the server, could do anything with
  }
}

function spkiOf(key: TpmPublic): Buffer {
  return publicKeyOf(key).export({ type: 'spki', format: 'der' });
}

function isEndorsementKey(key: TpmPublic): boolean {
  try {
    checkEndorsementKey(key);
    return true;
  } catch (error) {
    if (hasReason(error, 'permission_denied')) return false;
    throw error;
  }
}

/** Keys of kinds that we do not know may lie among them. */
function undefinedIfUnfit(error: unknown): undefined {
  if (hasReason(error, 'invalid_argument')) return undefined;
  throw error;
}
