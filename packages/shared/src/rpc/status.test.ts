/** Statuses as foreign programs send and expect them. */
import { Metadata, status } from '@grpc/grpc-js';
import { describe, expect, it, vi } from 'vitest';
import { BonafideError } from '../errors/bonafide-error.js';
import { silentLogger } from '../runtime/logger.js';
import {
  errorFromStatusProto,
  fromServiceError,
  OK_STATUS_PROTO,
  statusProtoFromError,
  toServiceError,
} from './status.js';

/** google.rpc.Status { code 7, message "m", details [Any { PermissionDeniedDetails { reason } }] }, by hand. */
function refusalTrailer(reasonNumber: number): Buffer {
  const type = Buffer.from('type.googleapis.com/spire.api.types.PermissionDeniedDetails');
  const detail = Buffer.from([0x08, reasonNumber]);
  const any = Buffer.concat([Buffer.from([0x0a, type.length]), type, Buffer.from([0x12, 2]), detail]);
  return Buffer.concat([Buffer.from([0x08, 7, 0x12, 1, 0x6d, 0x1a, any.length]), any]);
}

describe('a refused agent', () => {
  it.each([
    ['agent_expired', 1],
    ['agent_not_attested', 2],
    ['agent_not_active', 3],
    ['agent_banned', 4],
    ['agent_must_reattest', 5],
  ] as const)('is told %s by the detail that SPIRE sends', (reason, number) => {
    const { code, metadata } = toServiceError(new BonafideError(reason, 'm'));
    expect(code).toBe(status.PERMISSION_DENIED);
    expect(metadata.get('grpc-status-details-bin')).toEqual([refusalTrailer(number)]);
    expect(fromServiceError({ code, details: 'm', metadata })).toMatchObject({ reason, message: 'm' });
  });

  it.each([Buffer.alloc(0), Buffer.from([0xff]), refusalTrailer(0), refusalTrailer(9)])(
    'is merely refused when the detail says nothing that is known, %#',
    (trailer) => {
      const metadata = new Metadata();
      metadata.set('grpc-status-details-bin', trailer);
      const error = fromServiceError({ code: status.PERMISSION_DENIED, details: 'm', metadata });
      expect(error.reason).toBe('permission_denied');
    },
  );

  it('is not believed to be banned by a status of another kind', () => {
    const metadata = new Metadata();
    metadata.set('grpc-status-details-bin', refusalTrailer(4));
    expect(fromServiceError({ code: status.UNAVAILABLE, details: 'm', metadata }).reason).toBe('unavailable');
  });
});

describe('a received status', () => {
  it.each([
    [status.UNKNOWN, 'internal'],
    [status.OUT_OF_RANGE, 'invalid_argument'],
    [status.DATA_LOSS, 'internal'],
    [status.UNAUTHENTICATED, 'unauthenticated'],
  ])('of code %i becomes %s', (code, reason) => {
    expect(fromServiceError({ code, details: 'd', metadata: new Metadata() })).toMatchObject({
      reason,
      message: 'd',
    });
  });

  it('that is none becomes internal, and a BonafideError stays itself', () => {
    const own = new BonafideError('not_found', 'x');
    expect(fromServiceError(own)).toBe(own);
    expect(fromServiceError(new TypeError('boom'))).toMatchObject({ reason: 'internal', message: 'boom' });
    expect(fromServiceError({ code: 99, details: 'd' }).reason).toBe('internal');
    expect(fromServiceError(undefined).reason).toBe('internal');
  });

  it.each([
    ['1500', 1500],
    ['0', 0],
    ['999999999', 3_600_000],
    ['-1', undefined],
    ['soon', undefined],
    ['99999999999', undefined],
  ])('with retry-after-ms %j says to wait %s ms', (text, expected) => {
    const metadata = new Metadata();
    metadata.set('retry-after-ms', text);
    expect(fromServiceError({ code: status.UNAVAILABLE, details: '', metadata }).retryAfterMs).toBe(expected);
  });
});

describe('a sent status', () => {
  it('tells when to come back only where that makes sense', () => {
    const options = { retryAfterMs: 10 };
    expect(
      toServiceError(new BonafideError('unavailable', '', options)).metadata.get('retry-after-ms'),
    ).toEqual(['10']);
    expect(
      toServiceError(new BonafideError('not_found', '', options)).metadata.get('retry-after-ms'),
    ).toEqual([]);
  });

  it('has a text that fits into a header', () => {
    expect(toServiceError(new BonafideError('not_found', 'x'.repeat(100_000))).details).toHaveLength(2000);
  });

  it('of an item hides and logs what nobody foresaw, and reads back', () => {
    const error = vi.fn();
    const debug = vi.fn();
    const log = Object.assign(Object.create(silentLogger) as typeof silentLogger, { error, debug });
    const context = { log, requestId: 'r-1' };
    expect(statusProtoFromError(new RangeError('secret'), context)).toEqual({
      code: status.INTERNAL,
      message: 'internal error (request id r-1)',
    });
    expect(error).toHaveBeenCalledOnce();
    const item = statusProtoFromError(new BonafideError('not_found', 'entry not found'), context);
    expect(item).toEqual({ code: status.NOT_FOUND, message: 'entry not found' });
    expect(error).toHaveBeenCalledOnce();
    expect(debug).toHaveBeenCalledOnce();
    expect(errorFromStatusProto(item)).toMatchObject({ reason: 'not_found', message: 'entry not found' });
    expect(errorFromStatusProto(OK_STATUS_PROTO)).toBeUndefined();
    expect(errorFromStatusProto(null)).toMatchObject({ reason: 'internal' });
    expect(errorFromStatusProto({ code: 99, message: 'm' })).toMatchObject({ reason: 'internal' });
  });
});
