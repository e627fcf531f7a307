/** Records as ArcSight Common Event Format (version 0, of the CEF white paper): a header of seven fields, and an extension. */
import { isAuditEventName, meaningOf } from './audit-events.js';
import type { AuditRecord } from './audit-record.js';

const SEVERITIES: Readonly<Record<AuditRecord['result'], number>> = { success: 3, denied: 6, failure: 7 };

export function cefOf(record: AuditRecord, version: string): string {
  const { event, result, actor, subject = {}, svid } = record;
  const name = isAuditEventName(event) ? meaningOf(event) : event;
  const header = ['CEF:0', 'Bonafide', 'bonafide-server', version, event, name, String(SEVERITIES[result])];
  const extension: readonly (readonly [string, string | number | undefined])[] = [
    ['rt', Date.parse(record.time)],
    ['externalId', record.seq],
    ['outcome', result],
    ['act', record.method],
    ['src', isIpv4(actor.address) ? actor.address : undefined],
    ['c6a2', actor.address === undefined || isIpv4(actor.address) ? undefined : actor.address],
    ['c6a2Label', actor.address === undefined || isIpv4(actor.address) ? undefined : 'Source IPv6 Address'],
    ['suid', actor.uid],
    ['spid', actor.pid],
    ['suser', actor.spiffe_id],
    ['spriv', actor.kind],
    ['duser', subject['spiffe_id'] ?? subject['agent_id']],
    ['dvchost', record.server_id],
    ['reason', record.reason],
    ['cs1Label', record.request_id && 'requestId'],
    ['cs1', record.request_id],
    ['cs2Label', subject['entry_id'] && 'entryId'],
    ['cs2', subject['entry_id']],
    ['cs3Label', svid && (svid.serial_number === undefined ? 'jti' : 'serialNumber')],
    ['cs3', svid?.serial_number ?? svid?.jti],
    ['cs4Label', subject['authority_id'] && 'authorityId'],
    ['cs4', subject['authority_id']],
    ['cs5Label', 'recordHash'],
    ['cs5', record.hash],
    ['cn1Label', record.revision === undefined ? undefined : 'revision'],
    ['cn1', record.revision],
    ['deviceCustomDate1Label', svid && 'svidExpiresAt'],
    ['deviceCustomDate1', svid && Date.parse(svid.expires_at)],
    ['msg', record.findings?.map(({ kind, text }) => `${kind}: ${text}`).join('; ')],
  ];
  const fields = extension.flatMap(([key, value]) =>
    value === undefined || value === '' ? [] : [`${key}=${extensionValue(String(value))}`],
  );
  return `${header.map(headerField).join('|')}|${fields.join(' ')}`;
}

/** Backslash and pipe are escaped; a header has one line. */
function headerField(text: string): string {
  return text.replace(/[\\|]/g, '\\$&').replace(/[\r\n]+/g, ' ');
}

/** Backslash and equals sign are escaped, and so are ends of lines. */
function extensionValue(text: string): string {
  return text.replace(/[\\=]/g, '\\$&').replace(/\r/g, '\\r').replace(/\n/g, '\\n');
}

function isIpv4(address: string | undefined): boolean {
  return address !== undefined && /^\d+\.\d+\.\d+\.\d+$/.test(address);
}
