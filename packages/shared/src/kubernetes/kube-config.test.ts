import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { BonafideError } from '../errors/bonafide-error.js';
import { readKubeConfig } from './kube-config.js';
import type { ClusterAccess } from './cluster-access.js';

const pem = Buffer.from('pem').toString('base64');

function config(cluster: object = {}, user: object = {}): string {
  return JSON.stringify({
    'current-context': 'a',
    contexts: [{ name: 'a', context: { cluster: 'b', user: 'c' } }],
    clusters: [{ name: 'b', cluster: { server: 'https://k8s.example:6443', ...cluster } }],
    users: [{ name: 'c', user }],
  });
}

function read(yaml: string): Promise<ClusterAccess> {
  return readKubeConfig(yaml, '/etc/k8s', (file) => Promise.resolve(`in-${file.replaceAll('/', '-')}`));
}

describe('readKubeConfig', () => {
  it('reads what is inside and what is in files, which lead from the place of the file', async () => {
    const inside = { 'client-certificate-data': pem, 'client-key-data': pem };
    const access = await read(config({ 'certificate-authority': 'ca.crt', 'tls-server-name': 'x' }, inside));
    expect(access).toEqual({
      server: new URL('https://k8s.example:6443'),
      tls: { ca: 'in--etc-k8s-ca.crt', cert: 'pem', key: 'pem', serverName: 'x' },
      bearerToken: undefined,
    });
    const { bearerToken } = await read(config({}, { token: 'text', tokenFile: '/run/token' }));
    expect(bearerToken).toBe('in--run-token');
  });

  it('reads YAML', async () => {
    const yaml = `
apiVersion: v1
kind: Config
current-context: a
contexts: [{ name: a, context: { cluster: b, user: c, namespace: d } }]
clusters:
  - name: b
    cluster: { server: "https://k8s.example" }
users:
  - name: c
    user: { token: abc }
`;
    expect((await read(yaml)).bearerToken).toBe('abc');
  });

  it.each([
    [config({ 'insecure-skip-tls-verify': true }), /insecure-skip-tls-verify/],
    [config({ server: 'http://k8s.example' }), /no https URL/],
    [config({ server: 'https://a:b@k8s.example' }), /password/],
    [config({ 'proxy-url': 'http://proxy' }), /proxy-url/],
    [config({ 'certificate-authority-data': '%' }), /base64/],
    [config({}, { exec: { command: 'aws' } }), /exec, which is not supported/],
    [config({}, { 'auth-provider': { name: 'gcp' } }), /auth-provider/],
    [config({}, { username: 'admin', password: 'x' }), /username/],
    [config({}, { 'client-certificate-data': pem }), /both or none/],
    [config({}, { token: 'a\r\nx: y' }), /no bearer token/],
    ['{}', /current-context/],
    ['a: [', /no YAML/],
    ['a: 1\na: 2', /no YAML/],
    [config().replace('"cluster":"b"', '"cluster":"x"'), /no cluster "x"/],
    [config().replace('"user":"c"', '"user":"x"'), /no user "x"/],
    [config().replace('"current-context":"a"', '"current-context":"x"'), /no context "x"/],
  ])('refuses %#', async (yaml, why) => {
    await expect(read(yaml)).rejects.toThrow(why);
  });

  it('throws nothing but BonafideError', async () => {
    const words = fc.constantFrom(
      'current-context',
      'clusters',
      ': ',
      '- ',
      '\n',
      '  ',
      '&a',
      '*a',
      '{',
      '}',
      'x',
      '!!js',
    );
    await fc.assert(
      fc.asyncProperty(
        fc.oneof(
          fc.string(),
          fc.array(words).map((parts) => parts.join('')),
        ),
        async (yaml) => {
          await read(yaml).catch((error: unknown) => {
            expect(error).toBeInstanceOf(BonafideError);
          });
        },
      ),
    );
  });
});
