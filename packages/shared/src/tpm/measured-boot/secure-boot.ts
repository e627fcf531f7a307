/**
 * Whether Secure Boot was on, judged from the log of PCR 7 (TCG PC Client Platform Firmware Profile, section 3.3.4.8).
 *
 * Only the order of the digests is proven by a quote; types and data are what the presenter says of them. So one form is
 * accepted and no other, and an event of PCR 7 that cannot be named makes the whole unproven: a name taken away could
 * hide it.
 */
import { createHash } from 'node:crypto';
import { invalidArgument } from '../../errors/bonafide-error.js';
import type { PcrBank } from '../algorithm.js';
import { GLOBAL_VARIABLE_GUID, IMAGE_SECURITY_GUID, type EfiVariable } from './boot-log/efi-variable.js';
import {
  parseSecureBootMeasurements,
  type SecureBootMeasurements,
} from './boot-log/secure-boot-measurements.js';
import { parseSignatureDatabase } from './boot-log/signature-database.js';
import type { EventLog } from './event-log.js';

export interface SecureBootState {
  /** The firmware enforced Secure Boot, without debugger or audit mode, and an entry of db vouched for what it started. */
  readonly isEnabled: boolean;
  /** The firmware was open to a debugger, which may change anything; `isEnabled` is false then. */
  readonly isDebug: boolean;
  /** The firmware left memory open to devices while it started. */
  readonly isDmaProtectionDisabled: boolean;
  /**
   * The entries of db that vouched for an image, each once: SHA-256, lower case hex, of the signature without the owner's
   * GUID in front. For a certificate that is the SHA-256 fingerprint of its DER; for an image's hash it is the SHA-256 of
   * that hash. Whoever is root later can make an unused entry of db appear here, but none disappear: ask that each one
   * is allowed, never that a certain one is there.
   */
  readonly dbAuthorities: readonly string[];
  /** Whatever else vouched, or was measured as if it did: what shim records, for example. */
  readonly otherAuthorities: readonly OtherAuthority[];
  /** SHA-256, lower case hex, of the whole of dbx: the revocations in force. */
  readonly dbxSha256: string;
}

interface OtherAuthority {
  readonly vendorGuid: string;
  readonly name: string;
  /** Of the variable's value as it was measured, lower case hex. */
  readonly sha256: string;
}

/**
 * Believe the answer only when the log's replay equals the quoted PCR 7 in the same bank.
 *
 * @throws BonafideError invalid_argument when PCR 7 was not measured in the one accepted form
 */
export function judgeSecureBoot(log: EventLog, bank: PcrBank): SecureBootState {
  const measurements = parseSecureBootMeasurements(log, bank);
  const { actions, authorities, configuration } = measurements;
  const isDebug = actions.includes('UEFI Debug Mode');
  const dbAuthorities = dbAuthoritiesOf(configuration.db, authorities.filter(isOfDb));
  return {
    isEnabled: isEnforced(measurements) && !isDebug && dbAuthorities.length > 0,
    isDebug,
    isDmaProtectionDisabled: actions.includes('DMA Protection Disabled'),
    dbAuthorities,
    otherAuthorities: authorities
      .filter((authority) => !isOfDb(authority))
      .map(({ vendorGuid, name, value }) => ({ vendorGuid, name, sha256: sha256(value) })),
    dbxSha256: sha256(configuration.dbx),
  };
}

function isEnforced({ configuration, furtherConfiguration }: SecureBootMeasurements): boolean {
  const { SecureBoot, PK, KEK, db } = configuration;
  const isOn = isSet('SecureBoot', SecureBoot);
  if (isOn && [PK, KEK, db].some(({ length }) => length === 0)) {
    throw invalidArgument('the boot log contradicts itself: Secure Boot on, without a PK, KEK or db');
  }
  const modes = furtherConfiguration.filter(
    ({ vendorGuid, name }) =>
      vendorGuid === GLOBAL_VARIABLE_GUID && (name === 'AuditMode' || name === 'SetupMode'),
  );
  return isOn && !modes.some(({ name, value }) => isSet(name, value));
}

function isSet(name: string, value: Buffer): boolean {
  const [state] = value;
  if (value.length !== 1 || (state !== 0 && state !== 1)) {
    throw invalidArgument(`the boot log has a variable ${name} that is neither 0 nor 1`);
  }
  return state === 1;
}

function isOfDb({ vendorGuid, name }: EfiVariable): boolean {
  return vendorGuid === IMAGE_SECURITY_GUID && name === 'db';
}

/** Older shims measure the certificate alone, firmware the whole EFI_SIGNATURE_DATA. */
function dbAuthoritiesOf(db: Buffer, authorities: readonly EfiVariable[]): readonly string[] {
  if (authorities.length === 0) {
    return [];
  }
  const known = new Map<string, string>();
  for (const { raw, signature } of parseSignatureDatabase(db)) {
    const name = sha256(signature);
    known.set(sha256(raw), name).set(name, name);
  }
  const vouched = authorities.map(({ value }) => {
    const name = known.get(sha256(value));
    if (name === undefined) {
      throw invalidArgument('the boot log names an authority of db that is not in the db it measured');
    }
    return name;
  });
  return [...new Set(vouched)];
}

function sha256(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex');
}
