import { describe, expect, it } from 'vitest';
import { BonafideError } from '../errors/bonafide-error.js';
import { logFields } from './log-fields.js';

const SECRET = 'hush-9f2c';

describe('the fields of a log line', () => {
  it('have the names that SPIRE gives them', () => {
    const notAfter = new Date(0);
    expect(
      logFields({
        spiffeId: 'a',
        entry_id: 'b',
        notAfter,
        dataDirectory: '/d',
        serialNumber: '7',
        ekHash: 'c',
      }),
    ).toEqual({
      spiffe_id: 'a',
      entry_id: 'b',
      expires_at: notAfter,
      data_dir: '/d',
      serial_num: '7',
      ek_hash: 'c',
    });
    expect(
      logFields({ X509SvidTtl: 1, caURL: 'u', nested: { trustDomain: 'x', ids: [{ keyId: 'k' }] } }),
    ).toEqual({
      x509_svid_ttl: 1,
      ca_url: 'u',
      nested: { trust_domain: 'x', ids: [{ key_id: 'k' }] },
    });
  });

  it('cannot be taken for those of the line itself', () => {
    expect(logFields({ level: 'fatal', msg: 'x', time: 0 })).toEqual({
      'fields.level': 'fatal',
      'fields.msg': 'x',
      'fields.time': 0,
    });
  });

  it.each([
    'token',
    'joinToken',
    'join_token',
    'JoinToken',
    'privateKey',
    'private_key',
    'key',
    'csr',
    'password',
    'passphrase',
  ])('never hold what is called %s, however deep', (name) => {
    const secret = { [name]: SECRET };
    const fields = {
      ...secret,
      one: secret,
      two: { deep: [{ deeper: secret }] },
      bare: Object.assign(Object.create(null), secret) as object,
    };
    expect(JSON.stringify(logFields(fields))).not.toContain(SECRET);
  });

  it('end, though a value holds itself', () => {
    const own: Record<string, unknown> = {};
    own['self'] = own;
    expect(JSON.stringify(logFields({ own }))).toContain('…');
  });

  it('say an error by its words and those of its causes, and where it comes from only if nobody expected it', () => {
    const cause = Object.assign(new Error('ECONNREFUSED'), { code: 'ECONNREFUSED' });
    const expected = new BonafideError('unavailable', 'no server answers', { cause });
    expect(logFields({ err: expected })).toEqual({ error: 'no server answers: ECONNREFUSED' });
    expect(logFields({ err: cause })).toEqual({ error: 'ECONNREFUSED' });
    expect(logFields({ err: new TypeError('x is not a function') })).toEqual({
      error: 'x is not a function',
      error_stack: expect.stringContaining('log-fields.test.ts') as string,
    });
    const circular = new Error('a');
    circular.cause = circular;
    expect(logFields({ err: circular })).toMatchObject({ error: 'a' });
  });
});
