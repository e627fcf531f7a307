import { formatSelector } from '@bonafide/shared/registration/selector';
import { describe, expect, it } from 'vitest';
import { nodeAdmissionSchema } from './node-admission-config.js';

const webhook = (url: string, more: object = {}): unknown => ({ webhook: { url, ...more } });

describe('node_admission', () => {
  it('asks for nobody by default, and for what rules name', () => {
    expect(nodeAdmissionSchema.parse({})).toEqual({
      ...{ approval_required: [], approvals: 1, expires_after: 86_400, denied_for: 86_400 },
    });
    const { approval_required: rules } = nodeAdmissionSchema.parse({
      approval_required: [{ attestor: 'tpm' }, { attestor: 'tpm', selector: 'tpm:ek_ca:ab' }],
    });
    expect(rules.map(({ selector }) => selector && formatSelector(selector))).toEqual([
      undefined,
      'tpm:ek_ca:ab',
    ]);
  });

  it.each([
    'https://admission.example/nodes',
    'http://127.0.0.1:9000/',
    'http://127.9.9.9/',
    'http://[::1]:1/',
  ])('asks the webhook %s', (url) => {
    const { webhook: settings } = nodeAdmissionSchema.parse(webhook(url));
    expect(settings).toMatchObject({ url: new URL(url), timeout: 5 });
  });

  it.each([
    [webhook('http://admission.example/'), /http to this machine/],
    [webhook('http://localhost/'), /http to this machine/],
    [webhook('http://[::2]/'), /http to this machine/],
    [webhook('file:///etc/passwd'), /neither an https URL/],
    [webhook('nowhere'), /neither an https URL/],
    [webhook('https://a:b@admission.example/'), /carries a password/],
    [webhook('https://admission.example/', { timeout: '31s' }), /longer than 30s/],
    [webhook('https://admission.example/', { timeout: '0s' }), /not a positive duration/],
    [webhook('https://admission.example/', { retries: 3 }), /retries/],
    [{ approval_required: [{}] }, /names nothing/],
    [{ approval_required: [{ selector: 'tpm' }] }, /no colon/],
    [{ approval_required: [{ type: 'tpm' }] }, /type/],
    [{ approval_required: true }, /array/],
    [{ approvals: 0 }, /approvals/],
    [{ approvals: 3 }, /approvals/],
    [{ denied_for: '-1h' }, /not a positive duration/],
  ])('refuses %j', (settings, message) => {
    expect(() => nodeAdmissionSchema.parse(settings)).toThrow(message);
  });
});
