/** What `tpm info` prints: for people, and as JSON. */
import type { JsonValue } from '@bonafide/shared/cli/output';
import type { Found, TpmReport } from './look-at-tpm.js';

const WIDTH = 18;

export function tpmReportText(report: TpmReport): string {
  const { clock } = report;
  const lines: (readonly [name: string, value: string])[] = [
    ['TPM', `${report.manufacturer} ${report.vendorString}`.trim()],
    ['Firmware', report.firmwareVersion],
    ['EK hash', report.ekHash],
    ['EK certificate', text(report.ekIssuer, (issuer) => `issued by ${issuer}`)],
    ['Resets', `${clock.resetCount} (restarts ${clock.restartCount})`],
    ['Active banks', [...report.pcrs.keys()].join(', ')],
    ['Boot log', text(report.eventLog, (bytes) => `${bytes} bytes, leads to these PCRs`)],
    ['Secure Boot', text(report.secureBoot, ({ isEnabled }) => (isEnabled ? 'on' : 'off'))],
    ...secureBootLines(report),
    ['IMA list', text(report.ima, (count) => `${count} entries`)],
  ];
  return [
    ...lines.map(([name, value]) => `${`${name}:`.padEnd(WIDTH)}${value}`),
    '',
    ...[...report.pcrs].flatMap(([bank, values]) =>
      Array.from(values, ([pcr, value]) => `${bank} ${String(pcr).padStart(2)}  ${value.toString('hex')}`),
    ),
    '',
  ].join('\n');
}

function secureBootLines({ secureBoot }: TpmReport): (readonly [string, string])[] {
  if (!secureBoot.isFound) return [];
  const { dbAuthorities, isDebug } = secureBoot.what;
  return [
    ...(isDebug ? [['Debugger', 'the firmware was open to one'] as const] : []),
    ...dbAuthorities.map((hash) => ['DB authority', hash] as const),
  ];
}

/** What is not there is left out, with the reason under its name and `_problem`. */
export function tpmReportJson(report: TpmReport): JsonValue {
  const { clock, ekIssuer, eventLog, ima, secureBoot } = report;
  return {
    device: report.device,
    manufacturer: report.manufacturer,
    vendor: report.vendorString,
    firmware_version: report.firmwareVersion,
    ek_hash: report.ekHash,
    ek_type: report.ekType,
    ...json('ek_certificate_issuer', ekIssuer, (issuer) => issuer),
    reset_count: clock.resetCount,
    restart_count: clock.restartCount,
    active_banks: [...report.pcrs.keys()],
    ...json('boot_log_bytes', eventLog, (bytes) => bytes),
    ...json('secure_boot', secureBoot, ({ isEnabled }) => isEnabled),
    ...(secureBoot.isFound
      ? { is_debug: secureBoot.what.isDebug, db_authorities: secureBoot.what.dbAuthorities }
      : {}),
    ...json('ima_entries', ima, (count) => count),
    pcrs: Object.fromEntries(
      Array.from(report.pcrs, ([bank, values]) => [
        bank,
        Object.fromEntries(Array.from(values, ([pcr, value]) => [String(pcr), value.toString('hex')])),
      ]),
    ),
  };
}

function text<What>(found: Found<What>, of: (what: What) => string): string {
  return found.isFound ? of(found.what) : `not known: ${found.why}`;
}

function json<What>(
  name: string,
  found: Found<What>,
  of: (what: What) => JsonValue,
): Readonly<Record<string, JsonValue>> {
  return found.isFound ? { [name]: of(found.what) } : { [`${name}_problem`]: found.why };
}
