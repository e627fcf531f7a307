/** Who a process is, in a few lines. */
import type { ConnectedProcess__Output as ConnectedProcess } from '@bonafide/shared/rpc/gen/bonafide/agent/v1/ConnectedProcess';
import type { Explanation__Output as Explanation } from '@bonafide/shared/rpc/gen/bonafide/agent/v1/Explanation';
import { ago, instant, printable, table } from './report-words.js';

const MOST_CGROUPS = 3;

export function processText({ now, process }: Explanation): readonly string[] {
  if (process === null) return [];
  const { ancestors, cgroups, executable, gid, group, problems, startedAt, uid, user } = process;
  const parents = ancestors.map(({ name, pid }) => `${name} (${pid})`).join(', ');
  // Version 1 has one for each of a dozen controllers, most of them the same.
  const paths = [...new Set(cgroups.map((cgroup) => cgroup.split(':').slice(2).join(':')))];
  const more = paths.length > MOST_CGROUPS ? ` and ${paths.length - MOST_CGROUPS} more` : '';
  const rows = [
    ['user', named(uid, user)],
    ['group', named(gid, group)],
    ['executable', executable],
    ['started', startedAt === 0 ? '' : `${instant(startedAt)}, ${ago(startedAt, now)}`],
    ['parents', parents],
    ['cgroup', `${paths.slice(0, MOST_CGROUPS).join('  ')}${more}`],
    ...problems.map((problem) => ['unreadable', problem]),
  ].filter(([, text]) => text !== '');
  return ['The process', ...table(rows.map((row) => ['', ...row]))];
}

export function connectedText(connected: readonly ConnectedProcess[]): string {
  if (connected.length === 0) return 'No process is connected to the Workload API\n';
  const rows = connected.map(({ connections, name, pid, problem, spiffeIds, uid }) => [
    String(pid),
    name,
    String(uid),
    String(connections),
    problem === ''
      ? spiffeIds.join(' ') || `none: 'bonafide-agent explain --pid ${pid}' tells why`
      : `cannot be attested: ${problem}`,
  ]);
  const header = ['PID', 'NAME', 'USER', 'CONNECTIONS', 'SPIFFE IDS'];
  return `${table([header, ...rows])
    .map(printable)
    .join('\n')}\n`;
}

function named(id: number, name: string): string {
  return name === '' ? String(id) : `${name} (${id})`;
}
