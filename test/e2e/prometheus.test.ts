/** The metrics, the alert rules and the dashboard, as a real Prometheus reads and judges them. */
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { findFreePort } from '@bonafide/testing/free-port';
import { LaunchedProcess } from '@bonafide/testing/launched-process';
import { createTemporaryDirectory, type TemporaryDirectory } from '@bonafide/testing/temporary-directory';
import { waitFor } from '@bonafide/testing/wait-for';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { HOST_NAMES, launchMeteredDomain, scrape, type MeteredDomain } from './prometheus-domain.js';

const hasPrometheus = spawnSync('sh', ['-c', 'command -v prometheus && command -v promtool']).status === 0;
const LIMIT_MS = 180_000;
const root = join(import.meta.dirname, '..', '..');
const deployed = (...path: readonly string[]): string => join(root, 'deploy', ...path);
const documentation = readFileSync(join(root, 'docs', 'telemetry.md'), 'utf8');

interface AlertRule {
  readonly alert: string;
  readonly expr: string;
  readonly annotations: Readonly<Record<string, string>>;
}

interface RuleFile {
  readonly groups: readonly { readonly rules: readonly AlertRule[] }[];
}

interface Dashboard {
  readonly panels: readonly {
    readonly title: string;
    readonly targets?: readonly { readonly expr: string }[];
  }[];
}

const ruleText = readFileSync(deployed('prometheus', 'alerts.yml'), 'utf8');
const rules = (parse(ruleText) as RuleFile).groups.flatMap((group) => group.rules);
const dashboard = JSON.parse(readFileSync(deployed('grafana', 'bonafide.json'), 'utf8')) as Dashboard;

/** The names of a table of the documentation, by the heading that it stands under. */
function documentedNames(...headings: readonly string[]): readonly string[] {
  return headings
    .flatMap((heading) => {
      const [, section = ''] = documentation.split(`\n## ${heading}\n`);
      const [text = ''] = section.split('\n## ');
      return [...text.matchAll(/^\| `([a-z_0-9]+)` +\| (?:counter|gauge|histogram|summary) /gm)];
    })
    .map(([, name = '']) => name)
    .toSorted();
}

function namesIn(expression: string): readonly string[] {
  const names = expression.replaceAll(/\{[^}]*\}/g, '').matchAll(/\b(?:bonafide|nodejs|process)_[a-z_0-9]+/g);
  return [...names].map(([name]) => name.replace(/_(bucket|count|sum)$/, ''));
}

describe('what is documented of metrics', () => {
  it('has a part for each alert, to which the alert refers', () => {
    const anchors = [...documentation.matchAll(/^### (\w+)$/gm)].map(([, name = '']) => name);
    expect(anchors.toSorted()).toEqual(rules.map(({ alert }) => alert).toSorted());
    for (const { alert, annotations } of rules) {
      expect(annotations['runbook']).toBe(`docs/telemetry.md#${alert.toLowerCase()}`);
    }
  });

  it('names every metric that a panel or an alert is about, and each of ours has a panel', () => {
    const known = documentedNames(
      ...['Every program', 'Server and agent', 'Server', 'Agent', 'OIDC provider'],
    );
    const shown = dashboard.panels.flatMap(({ targets = [] }) => targets.map(({ expr }) => expr));
    const used = new Set([...shown, ...rules.map(({ expr }) => expr)].flatMap(namesIn));
    expect([...used].filter((name) => !known.includes(name))).toEqual([]);
    const inPanels = new Set(shown.flatMap(namesIn));
    expect(known.filter((name) => name.startsWith('bonafide_') && !inPanels.has(name))).toEqual([]);
  });
});

describe.skipIf(!hasPrometheus)('promtool', () => {
  it.each([
    ['check', 'rules', 'alerts.yml'],
    ['check', 'config', '--syntax-only', 'prometheus.yml'],
    ['test', 'rules', 'alerts.test.yml'],
  ])('accepts %s %s %s', (...args) => {
    const { status, stdout, stderr } = spawnSync('promtool', args, {
      cwd: deployed('prometheus'),
      encoding: 'utf8',
    });
    expect({ status, said: status === 0 ? '' : stdout + stderr }).toEqual({ status: 0, said: '' });
  });

  it('has two tests of every alert: one that fires, one that stays quiet', () => {
    const { tests } = parse(readFileSync(deployed('prometheus', 'alerts.test.yml'), 'utf8')) as {
      readonly tests: readonly { readonly name: string }[];
    };
    expect(tests.map(({ name }) => name)).toEqual(
      expect.arrayContaining(rules.flatMap(({ alert }) => [`${alert} fires`, `${alert} stays quiet`])),
    );
  });
});

describe.skipIf(!hasPrometheus)('a real Prometheus (needs prometheus)', () => {
  let directory: TemporaryDirectory;
  let domain: MeteredDomain;
  let prometheus: LaunchedProcess;
  let url: string;

  beforeAll(async () => {
    directory = createTemporaryDirectory();
    domain = await launchMeteredDomain(directory);
    const port = await findFreePort();
    url = `http://127.0.0.1:${port}`;
    prometheus = await launchPrometheus(directory, domain, port);
  }, LIMIT_MS);

  afterAll(async () => {
    await prometheus[Symbol.asyncDispose]();
    await domain[Symbol.asyncDispose]();
    directory[Symbol.dispose]();
  }, LIMIT_MS);

  async function ask<Data>(path: string, parameters: Readonly<Record<string, string>> = {}): Promise<Data> {
    const response = await fetch(`${url}/api/v1/${path}?${new URLSearchParams(parameters).toString()}`);
    const answer = (await response.json()) as { status: string; error?: string; data: Data };
    if (answer.status !== 'success') throw new Error(`${path}: ${answer.error ?? ''}`);
    return answer.data;
  }

  it.each([
    ['server', ['Every program', 'Server and agent', 'Server']],
    ['agent', ['Every program', 'Server and agent', 'Agent']],
    ['oidc', ['Every program', 'OIDC provider']],
  ] as const)('finds of the %s exactly the metrics that are documented', async (program, headings) => {
    const text = await scrape(domain.ports[program], domain.identity);
    const served = [...text.matchAll(/^# TYPE (\S+) /gm)].map(([, name = '']) => name).toSorted();
    expect(served).toEqual(documentedNames(...headings));
  });

  it.each(['server', 'agent', 'oidc'] as const)('is not told by the %s without its SVID', async (program) => {
    await expect(scrape(domain.ports[program], undefined)).rejects.toThrow();
  });

  it(
    'reads all three over mutual TLS, and verifies the names under which they answer',
    async () => {
      await waitFor(
        'every target to be up',
        async () => {
          const { result } = await ask<{ result: readonly unknown[] }>('query', { query: 'up == 1' });
          return result.length === 3;
        },
        { limitMs: LIMIT_MS },
      );
    },
    LIMIT_MS,
  );

  it('can evaluate every expression of the dashboard and of the alerts', async () => {
    const panels = dashboard.panels.flatMap(({ title, targets = [] }) =>
      targets.map(({ expr }) => ({ title, expr })),
    );
    expect(panels.length).toBeGreaterThan(40);
    for (const { title, expr } of [...panels, ...rules.map(({ alert, expr }) => ({ title: alert, expr }))]) {
      await ask('query', { query: expr }).catch((error: unknown) => {
        throw new Error(`${title}: ${expr}`, { cause: error });
      });
    }
    const judged = await ask<{
      groups: readonly { rules: readonly { name: string; health: string; lastError?: string }[] }[];
    }>('rules');
    const unwell = judged.groups
      .flatMap((group) => group.rules)
      .filter(({ health }) => health === 'err')
      .map(({ name, lastError }) => `${name}: ${lastError ?? ''}`);
    expect(unwell).toEqual([]);
  });

  it(
    'sees what happens: calls and SVIDs are counted, by how they ended',
    async () => {
      await domain.server.commandOutput('entry', 'show');
      const { code } = await domain.server.command('entry', 'show', '--entry-id', 'no-such-entry');
      expect(code).not.toBe(0);
      for (const query of [
        'bonafide_rpc_handled_total{listener="admin", method="spire.api.server.entry.v1.Entry/ListEntries", code="OK"} > 0',
        'bonafide_rpc_handled_total{listener="admin", code="NOT_FOUND"} > 0',
        'bonafide_agent_node_attestations_total{result="success"} == 1',
        'bonafide_svid_issuances_total{kind="x509_agent", result="issued"} > 0',
        'bonafide_node_attestations_total{type="join_token", result="attested"} == 1',
        'bonafide_agents_connected == 1 and on () bonafide_agent_connected == 1',
        'bonafide_agent_sync_mode{mode="watch"} == 1',
        'bonafide_datastore_writes_total{result="committed"} > 0',
      ]) {
        await waitFor(
          query,
          async () => (await ask<{ result: readonly unknown[] }>('query', { query })).result.length > 0,
          { limitMs: 150_000 },
        );
      }
    },
    LIMIT_MS,
  );

  it(
    'raises an alert when the agent stops, and not before',
    async () => {
      const firing = async (): Promise<readonly string[]> => {
        const { alerts } = await ask<{
          alerts: readonly { state: string; labels: Readonly<Record<string, string>> }[];
        }>('alerts');
        return alerts
          .filter(({ state }) => state === 'firing')
          .map(({ labels }) => labels['alertname'] ?? '');
      };
      expect(await firing()).not.toContain('BonafideAgentDown');
      await domain.agent.stop();
      await waitFor('the alert', async () => (await firing()).includes('BonafideAgentDown'), {
        limitMs: LIMIT_MS,
      });
      expect(await firing()).not.toContain('BonafideServerDown');
    },
    LIMIT_MS,
  );
});

/** As deploy/prometheus has it, with short intervals, and rules that do not wait. */
async function launchPrometheus(
  directory: TemporaryDirectory,
  { identity, ports }: MeteredDomain,
  port: number,
): Promise<LaunchedProcess> {
  await writeFile(directory.join('alerts.yml'), ruleText.replaceAll(/^( +)for: .*$/gm, '$1for: 1s'));
  const tls = {
    ca_file: join(identity, 'bundle.pem'),
    cert_file: join(identity, 'svid.pem'),
    key_file: join(identity, 'key.pem'),
  };
  const config = {
    global: { scrape_interval: '1s', evaluation_interval: '1s' },
    rule_files: ['alerts.yml'],
    scrape_configs: (['server', 'agent', 'oidc'] as const).map((program) => ({
      job_name: `bonafide-${program}`,
      scheme: 'https',
      tls_config: { ...tls, server_name: HOST_NAMES[program] },
      static_configs: [{ targets: [`127.0.0.1:${ports[program]}`] }],
    })),
  };
  await writeFile(directory.join('prometheus.yml'), JSON.stringify(config));
  await mkdir(directory.join('tsdb'));
  return LaunchedProcess.launch({
    name: 'prometheus',
    command: 'prometheus',
    args: [
      `--config.file=${directory.join('prometheus.yml')}`,
      `--storage.tsdb.path=${directory.join('tsdb')}`,
      `--web.listen-address=127.0.0.1:${port}`,
    ],
    readyLimitMs: LIMIT_MS,
    isReady: async () => (await fetch(`http://127.0.0.1:${port}/-/ready`)).ok,
  });
}
