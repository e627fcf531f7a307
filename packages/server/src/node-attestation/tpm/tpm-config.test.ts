import { parseConfig } from '@bonafide/shared/config/load-config';
import { describe, expect, it } from 'vitest';
import { tpmConfigSchema } from './tpm-config.js';

const SHA256 = 'ab'.repeat(32);
const parse = (config: object): unknown =>
  parseConfig('server.yaml', JSON.stringify(config), tpmConfigSchema);
const enrolled = { ek_enrollment: true };
const withPolicy = (policy: object): object => ({ ...enrolled, policy });

describe('the configuration of the tpm attestor', () => {
  it('is complete with one source of trust', () => {
    expect(tpmConfigSchema.parse(enrolled)).toMatchObject({
      ...{ ek_trust: 'either', proof: { intervalSeconds: 600, deadlineSeconds: 1800 } },
      policy: {
        ...{ banks: ['sha256'], pcrs: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 14], changeable_pcrs: [] },
        ...{ secure_boot: 'any', event_log: 'required', ima_policy_name: 'default' },
      },
    });
  });

  it('lets proofs be asked for only by operators', () => {
    expect(tpmConfigSchema.parse({ ...enrolled, proof: { interval: '0' } }).proof).toEqual({
      intervalSeconds: undefined,
      deadlineSeconds: 1800,
    });
  });

  it('takes hashes in either case', () => {
    const policy = withPolicy({ db_authorities: [SHA256.toUpperCase()] });
    expect(tpmConfigSchema.parse(policy).policy.db_authorities).toEqual([SHA256]);
  });

  it.each<[string, object, string]>([
    ['nobody is trusted', {}, 'no TPM is trusted; set ek_roots, ek_hashes_path or ek_enrollment: true'],
    [
      'certificates without roots',
      { ...enrolled, ek_trust: 'certificate' },
      'is certificate, and there are no',
    ],
    ['both without roots', { ...enrolled, ek_trust: 'both' }, 'is both, and there are no ek_roots'],
    [
      'both without a list',
      { ek_roots: ['r'], ek_trust: 'both' },
      'is both, and there is neither ek_hashes_path nor ek_enrollment: true',
    ],
    [
      'a list without one',
      { ek_roots: ['r'], ek_trust: 'allow_list' },
      'is allow_list, and there is neither',
    ],
    ['no roots', { ek_roots: [] }, 'ek_roots'],
    ['a key that nobody knows', { ...enrolled, ek_rots: ['r'] }, 'ek_rots'],
    [
      'SHA-1',
      withPolicy({ banks: ['sha1'] }),
      'names sha1, which is broken; leave it out, or set allow_sha1',
    ],
    ['a PCR that root resets', withPolicy({ pcrs: [16] }), 'policy.pcrs'],
    ['no PCR', withPolicy({ pcrs: [] }), 'policy.pcrs'],
    [
      'Secure Boot without PCR 7',
      withPolicy({ secure_boot: 'required', pcrs: [0] }),
      'lacks PCR 7, by which Secure Boot is proven',
    ],
    [
      'authorities of db without PCR 7',
      withPolicy({ db_authorities: [SHA256], pcrs: [0] }),
      'lacks PCR 7, by which db_authorities are proven',
    ],
    ['shim without PCR 14', withPolicy({ pcr14: [SHA256], pcrs: [7] }), 'lacks PCR 14, of which pcr14 gives'],
    [
      'Secure Boot without a log',
      withPolicy({ secure_boot: 'required', event_log: 'optional' }),
      'can be proven only by the log',
    ],
    [
      'measured files without the PCRs of their boot',
      withPolicy({ ima_allow_list_path: 'list', pcrs: [0, 1, 2, 3, 4, 5, 7, 8] }),
      'lacks PCR 6, 9: the list of measured files belongs to a boot by PCRs 0 to 9',
    ],
    ['a name with a colon', withPolicy({ ima_policy_name: 'a:b' }), 'is not a name of 1 to 64 letters'],
    ['half a digest', withPolicy({ db_authorities: ['abcd'] }), 'expected 64 hexadecimal digits'],
    ['a golden set of nothing', withPolicy({ golden: { good: {} } }), 'names no bank'],
    ['a golden bank of nothing', withPolicy({ golden: { good: { sha256: {} } } }), 'names no PCR'],
    [
      'a golden digest of another bank',
      withPolicy({ golden: { good: { sha256: { 7: ['ab'.repeat(20)] } } } }),
      'is not a digest of sha256',
    ],
    [
      'a golden PCR that root resets',
      withPolicy({ golden: { good: { sha256: { 23: [SHA256] } } } }),
      'PCR from 0 to 15',
    ],
    [
      'a golden PCR that is not quoted',
      withPolicy({ golden: { good: { sha256: { 12: [SHA256] } } } }),
      'good names PCR 12, which policy.pcrs does not name',
    ],
    [
      'golden SHA-1',
      withPolicy({ golden: { good: { sha1: { 7: ['ab'.repeat(20)] } } } }),
      'good names the bank sha1, which proves nothing',
    ],
    ['an interval of nearly nothing', { ...enrolled, proof: { interval: '5ms' } }, 'is not an interval'],
    [
      'a deadline that everybody misses',
      { ...enrolled, proof: { interval: '10m', deadline: '10m' } },
      'is not longer than the interval: every node would miss it',
    ],
  ])('refuses %s', (_, config, message) => {
    expect(() => parse(config)).toThrow(message);
  });
});
