/** SVIDs as SPIRE's commands print them. */
import { formatDuration } from '@bonafide/shared/config/go-duration';
import type { X509Certificate } from '@bonafide/shared/crypto/x509-certificate';
import type { AnsweredSvid } from './x509-answer.js';

export function x509AnswerText(svids: readonly AnsweredSvid[], elapsedMs: number): string {
  const lines = [
    `Received ${svids.length} svid${svids.length === 1 ? '' : 's'} after ${printedElapsed(elapsedMs)}`,
  ];
  for (const svid of svids) lines.push('', ...svidLines(svid));
  return `${lines.join('\n')}\n\n`;
}

function svidLines(svid: AnsweredSvid): readonly string[] {
  const [leaf, ...intermediates] = svid.certificates;
  return [
    `SPIFFE ID:\t\t${svid.spiffeId}`,
    ...(svid.hint === '' ? [] : [`Hint:\t\t\t${svid.hint}`]),
    ...(leaf === undefined ? [] : validityLines('SVID', leaf)),
    ...intermediates.flatMap((certificate, index) =>
      validityLines(`Intermediate #${index + 1}`, certificate),
    ),
    ...svid.bundle.flatMap((certificate, index) => validityLines(`CA #${index + 1}`, certificate)),
    ...svid.federatedBundles.flatMap(([id, bundle]) =>
      bundle.flatMap((certificate, index) => validityLines(`[${id}] CA #${index + 1}`, certificate)),
    ),
  ];
}

function validityLines(name: string, { notBefore, notAfter }: X509Certificate): readonly string[] {
  return [
    `${name} Valid After:\t${printedTime(notBefore)}`,
    `${name} Valid Until:\t${printedTime(notAfter)}`,
  ];
}

/** `2026-01-02 15:04:05 +0000 UTC`, as Go prints it. */
function printedTime(date: Date): string {
  const iso = date.toISOString();
  return `${iso.slice(0, 10)} ${iso.slice(11, 19)} +0000 UTC`;
}

/** `2.345ms`, as Go prints it. */
function printedElapsed(elapsedMs: number): string {
  if (elapsedMs >= 1000) return formatDuration(elapsedMs / 1000);
  return elapsedMs >= 1 ? `${Number(elapsedMs.toFixed(6))}ms` : `${Number((elapsedMs * 1000).toFixed(3))}µs`;
}
