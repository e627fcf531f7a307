import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parseAllDocuments } from 'yaml';
import { runCommand } from '@bonafide/testing/run-command';
import { createTemporaryDirectory } from '@bonafide/testing/temporary-directory';
import { findHelm, NEEDS_HELM } from './helm-program.js';

const chart = join(import.meta.dirname, '..', '..', 'deploy', 'helm', 'bonafide');
const helm = findHelm();

const EVERYTHING = {
  server: {
    replicas: 2,
    database: { type: 'postgres', connectionSecret: 'database' },
    jwtIssuer: 'https://oidc.example.org',
  },
  oidc: { enabled: true, domains: ['oidc.example.org'] },
  serviceMonitor: { enabled: true },
  agent: { verifyKubelet: true },
};

interface Manifest {
  readonly kind: string;
  readonly metadata: { readonly name: string };
  readonly data?: Readonly<Record<string, string>>;
  readonly rules?: readonly object[];
  readonly spec?: { readonly template?: { readonly spec: PodSpec } };
}

interface PodSpec {
  readonly hostPID?: boolean;
  readonly hostNetwork?: boolean;
  readonly containers: readonly {
    readonly image: string;
    readonly securityContext: Readonly<Record<string, unknown>>;
    readonly resources: { readonly limits: object };
  }[];
}

function runHelm(command: readonly string[], values: object) {
  using directory = createTemporaryDirectory();
  const file = directory.join('values.json');
  writeFileSync(file, JSON.stringify(values));
  return spawnSync(helm ?? '', [...command, '--values', file], { encoding: 'utf8' });
}

function render(values: object): readonly Manifest[] {
  const template = ['template', 'test', chart, '--namespace', 'identity'];
  const { status, stdout, stderr } = runHelm(template, values);
  expect(stderr).toBe('');
  expect(status).toBe(0);
  const documents = parseAllDocuments(stdout);
  if (!Array.isArray(documents)) throw new Error('nothing was rendered');
  return documents.map((document) => {
    expect(document.errors).toEqual([]);
    return document.toJS() as Manifest;
  });
}

function named(manifests: readonly Manifest[], kind: string): readonly string[] {
  return manifests.filter((manifest) => manifest.kind === kind).map(({ metadata }) => metadata.name);
}

describe.skipIf(helm === undefined)(`the Helm chart ${NEEDS_HELM}`, () => {
  it.each([
    ['as it comes', {}],
    ['with everything', EVERYTHING],
  ])('has nothing for the linter to say %s', (_, values) => {
    const { status, stdout } = runHelm(['lint', '--strict', chart], values);
    expect(stdout).not.toMatch(/\[(ERROR|WARNING)\]/u);
    expect(status).toBe(0);
  });

  it.each([
    ['as it comes', {}, ['server', 'agent']],
    ['with everything', EVERYTHING, ['server', 'agent', 'oidc']],
  ])('renders configurations that the programs accept, %s', async (_, values, programs) => {
    using directory = createTemporaryDirectory();
    const manifests = render(values);
    for (const program of ['server', 'agent', 'oidc'] as const) {
      const config = manifests
        .filter(({ kind }) => kind === 'ConfigMap')
        .map(({ data }) => data?.[`${program}.yaml`])
        .find((text) => text !== undefined);
      expect(config !== undefined, program).toBe(programs.includes(program));
      if (config === undefined) continue;
      const file = directory.join(`${program}.yaml`);
      writeFileSync(file, config);
      const expand = config.includes('${') ? ['--expand-env'] : [];
      const { code, stdout, stderr } = await runCommand(program, ['validate', '--config', file, ...expand], {
        env: { BONAFIDE_DATABASE: 'postgres://bonafide@localhost/bonafide' },
      });
      expect(stdout + stderr).toContain('is valid');
      expect(code).toBe(0);
    }
  });

  it('asks for no right that it does not need', () => {
    const manifests = render(EVERYTHING);
    const rules = manifests.flatMap(({ kind, metadata, rules: its = [] }) =>
      its.map((rule) => ({ of: `${kind} ${metadata.name}`, ...rule })),
    );
    expect(new Set(rules)).toEqual(
      new Set([
        {
          of: 'ClusterRole identity-test-bonafide-agent',
          ...{ apiGroups: [''], resources: ['nodes/proxy'], verbs: ['get'] },
        },
        {
          of: 'ClusterRole identity-test-bonafide-server',
          ...{ apiGroups: ['authentication.k8s.io'], resources: ['tokenreviews'], verbs: ['create'] },
        },
        {
          of: 'ClusterRole identity-test-bonafide-server',
          ...{ apiGroups: [''], resources: ['nodes', 'pods'], verbs: ['get'] },
        },
        {
          of: 'Role test-bonafide-server',
          ...{
            apiGroups: [''],
            resources: ['configmaps'],
            resourceNames: ['test-bonafide-bundle'],
            verbs: ['patch'],
          },
        },
      ]),
    );
    expect(named(manifests, 'Secret')).toEqual([]);
  });

  it('gives no container a power that it does not need, and the agent alone a view of its node', () => {
    for (const { metadata, spec } of render(EVERYTHING)) {
      const pod = spec?.template?.spec;
      if (pod === undefined) continue;
      const isAgent = metadata.name === 'test-bonafide-agent';
      expect([metadata.name, pod.hostPID === true, pod.hostNetwork === true]).toEqual([
        metadata.name,
        isAgent,
        isAgent,
      ]);
      for (const { image, resources, securityContext } of pod.containers) {
        expect(image).toMatch(/^registry\.example\.org\/bonafide-[a-z]+:0\.1\.0$/u);
        expect(resources.limits).toHaveProperty('memory');
        expect(securityContext).toEqual({
          allowPrivilegeEscalation: false,
          readOnlyRootFilesystem: true,
          seccompProfile: { type: 'RuntimeDefault' },
          ...(isAgent
            ? { runAsUser: 0, capabilities: { drop: ['ALL'], add: ['SYS_PTRACE'] } }
            : { runAsNonRoot: true, runAsUser: 65532, runAsGroup: 65532, capabilities: { drop: ['ALL'] } }),
        });
      }
    }
  });

  it('renders what is optional only when it is asked for', () => {
    const plain = render({});
    expect(plain.map(({ kind }) => kind)).not.toContain('ServiceMonitor');
    expect(plain.map(({ kind }) => kind)).not.toContain('Deployment');
    const all = render(EVERYTHING);
    expect(named(all, 'Deployment')).toEqual(['test-bonafide-oidc']);
    expect(named(all, 'ServiceMonitor')).toEqual(['test-bonafide-server']);
    expect(named(all, 'NetworkPolicy')).toEqual(['test-bonafide-server', 'test-bonafide-oidc']);
    const without = { networkPolicy: { enabled: false }, podDisruptionBudget: { enabled: false } };
    const kinds = render(without).map(({ kind }) => kind);
    expect(kinds).not.toContain('NetworkPolicy');
    expect(kinds).not.toContain('PodDisruptionBudget');
  });

  it.each([
    ['several servers of one SQLite file each', { server: { replicas: 2 } }],
    ['PostgreSQL without a way to it', { server: { database: { type: 'postgres' } } }],
    ['an unknown value', { sever: {} }],
    ['a trust domain that is none', { trustDomain: 'Example.org' }],
    ['a discovery provider without a name', { oidc: { enabled: true } }],
  ])('refuses %s', (_, values) => {
    expect(runHelm(['template', 'test', chart], values).status).not.toBe(0);
  });
});
