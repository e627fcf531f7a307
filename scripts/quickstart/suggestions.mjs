// What to try next: commands that work against the running quickstart, each checked by `--once` before it is printed.
import { relative } from 'node:path';
import { run } from './child.mjs';
import { program, root } from './program.mjs';

export function suggestions(domain) {
  const server = `node ${relative(root, program('server'))}`;
  const agent = relative(root, program('agent'));
  const admin = `--socket-path ${domain.adminSocket}`;
  const { uid } = domain.accounts['greeter-client'];
  const asClient = uid === process.getuid() ? '' : `setpriv --reuid ${uid} --regid ${uid} --clear-groups `;
  return [
    { explanation: 'who may have which identity', text: `${server} entry show ${admin}` },
    { explanation: 'the nodes that have proven themselves', text: `${server} agent list ${admin}` },
    ...(domain.proof.device === undefined ? [] : tpmSuggestions({ server, agent, admin, domain })),
    {
      explanation: 'the identity of a process is that of the program it runs',
      text: `${asClient}${domain.binary('greeter-client')} ${agent} api fetch x509 --socket-path ${domain.workloadSocket}`,
    },
    { explanation: 'whom everybody here trusts', text: `${server} bundle show ${admin}` },
    {
      explanation: 'everything in JSON, as SPIRE prints it',
      text: `${server} entry show --output json ${admin}`,
    },
  ];
}

function tpmSuggestions({ server, agent, admin, domain }) {
  const id = `--spiffe-id ${domain.agentId}`;
  return [
    {
      explanation: 'what the TPM of this node says',
      text: `node ${agent} tpm info --device ${domain.proof.device}`,
    },
    {
      explanation: 'have the node prove itself once more, now',
      text: `${server} agent prove ${id} ${admin}`,
    },
  ];
}

export async function checkSuggestions(domain, commands) {
  await domain.narrator.step('Checking the commands that are suggested next', async () => {
    for (const { text } of commands) {
      const result = await run('sh', ['-c', text], { cwd: root });
      if (!result.isOk) throw new Error(`${text} ended with ${result.ending}: ${result.text}`);
    }
    domain.narrator.ok(`${commands.length} commands work`);
  });
}
