import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parse, parseDocument } from 'yaml';
import { runAgentProgram } from '@bonafide/agent/cli/program';
import { runOidcProgram } from '@bonafide/oidc/cli/program';
import { runServerProgram } from '@bonafide/server/cli/program';
import { createRecordedHost } from '@bonafide/testing/recorded-host';

const deploy = join(import.meta.dirname, '..', '..', 'deploy');
const PROGRAMS = { server: runServerProgram, agent: runAgentProgram, oidc: runOidcProgram };
const NAMES = ['server', 'agent', 'oidc'] as const;

type Section = Readonly<Record<string, unknown>>;

interface Service {
  readonly build: { readonly context: string; readonly dockerfile: string };
  readonly depends_on?: Readonly<Record<string, { readonly condition: string }>>;
  readonly volumes: readonly string[];
  readonly healthcheck?: object;
}

interface Compose {
  readonly services: Readonly<Record<string, Service>>;
  readonly volumes: Readonly<Record<string, null>>;
}

function readYaml(...path: readonly string[]): Readonly<Record<string, Section>> {
  return parse(readFileSync(join(deploy, ...path), 'utf8')) as Readonly<Record<string, Section>>;
}

/** What the program makes files in. */
function writtenFolders({ server, agent }: Readonly<Record<string, Section>>): readonly string[] {
  const { socket_path: socket, admin_socket_path: admin, data_dir: data } = server ?? agent ?? {};
  return [
    ...[socket, admin].filter((path) => typeof path === 'string').map((path) => dirname(path)),
    ...(typeof data === 'string' ? [data] : []),
  ];
}

describe.each(NAMES)('the image of bonafide-%s', (name) => {
  const text = readFileSync(join(deploy, 'docker', `${name}.Dockerfile`), 'utf8');

  it('has each folder that its configuration has it write to, as its user may make none beside them', () => {
    const made = [...text.matchAll(/\/empty(\/\S+)/gu)].map(([, path]) => path);
    for (const folder of writtenFolders(readYaml('config', `${name}.yaml`))) expect(made).toContain(folder);
  });

  it('exposes the port that its configuration listens on', () => {
    const config = readYaml('config', `${name}.yaml`);
    const ports = [config['server']?.['bind_port'], config['serving_cert_file']?.['addr']]
      .filter((port) => port !== undefined)
      .map((port) => String(port as string | number).replace(':', ''));
    expect([...text.matchAll(/^EXPOSE (\d+)$/gmu)].map(([, port]) => port)).toEqual(ports);
  });
});

describe('the compose file', () => {
  const document = parseDocument(readFileSync(join(deploy, 'compose', 'docker-compose.yaml'), 'utf8'));
  const { services, volumes } = document.toJS() as Compose;

  it('names only services, volumes and files that there are', () => {
    expect([...document.errors, ...document.warnings]).toEqual([]);
    expect(Object.keys(services)).toEqual([...NAMES]);
    const used = new Set<string>();
    for (const { build, depends_on: needed = {}, volumes: mounts } of Object.values(services)) {
      expect(existsSync(join(deploy, 'compose', build.context, build.dockerfile))).toBe(true);
      for (const [other, { condition }] of Object.entries(needed)) {
        expect(condition).toBe('service_healthy');
        expect(services[other]?.healthcheck, other).toBeDefined();
      }
      for (const source of mounts.map((mount) => mount.split(':')[0] ?? '')) {
        if (!source.startsWith('./')) used.add(source);
        // The reader of docs/installation.md makes it.
        else if (source !== './secrets')
          expect(existsSync(join(deploy, 'compose', source)), source).toBe(true);
      }
    }
    expect([...used].toSorted()).toEqual(Object.keys(volumes).toSorted());
  });

  it.each(NAMES)(
    'gives %s a configuration that it accepts, and volumes for all that it writes',
    async (name) => {
      const host = createRecordedHost();
      const file = join(deploy, 'compose', `${name}.yaml`);
      expect(await PROGRAMS[name](['validate', '--config', file], host)).toBe(0);
      expect(host.printed).toMatchObject({
        stderr: '',
        stdout: expect.stringContaining('is valid') as string,
      });
      const mounts = services[name]?.volumes ?? [];
      expect(mounts).toContain(`./${name}.yaml:/etc/bonafide/${name}.yaml:ro`);
      const writable = mounts
        .filter((mount) => !mount.endsWith(':ro'))
        .map((mount) => mount.split(':')[1] ?? '');
      for (const folder of writtenFolders(readYaml('compose', `${name}.yaml`))) {
        expect(
          writable.some((mount) => folder === mount || folder.startsWith(`${mount}/`)),
          folder,
        ).toBe(true);
      }
    },
  );
});
