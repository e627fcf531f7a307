/** The header of W3C Trace Context, section 3.2: which span of the caller's a call belongs to. */
export const TRACEPARENT_HEADER = 'traceparent';

export interface RemoteSpan {
  /** 32 digits in hex. */
  readonly traceId: string;
  /** 16 digits in hex. */
  readonly spanId: string;
  readonly isSampled: boolean;
}

const VERSION_00 = /^00-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})$/;

/** Undefined for what is no such header: tracing refuses no call. */
export function parseTraceparent(value: string | Buffer | undefined): RemoteSpan | undefined {
  if (typeof value !== 'string') return undefined;
  const [, traceId, spanId, flags] = VERSION_00.exec(value) ?? [];
  if (traceId === undefined || spanId === undefined || flags === undefined) return undefined;
  return { traceId, spanId, isSampled: (Number.parseInt(flags, 16) & 1) === 1 };
}

export function formatTraceparent({ traceId, spanId, isSampled }: RemoteSpan): string {
  return `00-${traceId}-${spanId}-${isSampled ? '01' : '00'}`;
}
