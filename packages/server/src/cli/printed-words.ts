/** Small things that Go prints in its own way, and SPIRE's output lines with it. */
import { status } from '@grpc/grpc-js';
import { dateFromUnixSeconds } from '@bonafide/shared/runtime/clock';

/** `3 entries`, `1 entry`. */
export function counted(count: number, singular: string, plural: string): string {
  return `${count} ${count === 1 ? singular : plural}`;
}

/** `2026-01-02 15:04:05 +0000 UTC`. */
export function printedTime(unixSeconds: number): string {
  const iso = dateFromUnixSeconds(unixSeconds).toISOString();
  return `${iso.slice(0, 10)} ${iso.slice(11, 19)} +0000 UTC`;
}

/** `AlreadyExists` for ALREADY_EXISTS. */
export function statusName(code: number): string {
  const name = (status as Readonly<Record<number, string | undefined>>)[code];
  if (name === undefined) return `Code(${code})`;
  if (name === 'OK') return name;
  if (name === 'CANCELLED') return 'Canceled';
  return name.replace(/([A-Z])([A-Z]*)_?/g, (_, first: string, rest: string) => first + rest.toLowerCase());
}

/** An ID message as its URI; empty when it is not there. */
export function printedId(id: { readonly trustDomain: string; readonly path: string } | null): string {
  return id === null ? '' : `spiffe://${id.trustDomain}${id.path}`;
}
