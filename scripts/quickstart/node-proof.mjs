// How the node of the story proves what it is: by a software TPM where there can be one, by a join token otherwise.
import { writeFileSync } from 'node:fs';
import { run } from './child.mjs';
import { program, root } from './program.mjs';
import { makeSoftwareTpm, startSoftwareTpm, whySoftwareTpmIsMissing } from './software-tpm.mjs';

/** The proof: its words, its parts of both configuration files, and `prepare`, which gives the node its alias. */
export async function chooseNodeProof(domain) {
  return domain.narrator.step('Choosing how the node proves what it is', async () => {
    const missing = whySoftwareTpmIsMissing() ?? (await makeSoftwareTpm(domain.path('tpm')));
    if (missing === undefined) {
      const tpm = await startSoftwareTpm(domain, domain.path('tpm'));
      domain.narrator.ok('a software TPM (swtpm): the node proves itself by its TPM, and needs no secret');
      return tpmProof(domain, tpm);
    }
    domain.narrator.say(missing);
    domain.narrator.ok('no TPM: the node proves itself with a join token');
    return joinTokenProof(domain);
  });
}

function joinTokenProof(domain) {
  const file = domain.path('agent', 'token');
  return {
    words: 'a join token',
    serverConfig: '    join_token: {}\n',
    agentConfig: `  join_token_file: ${JSON.stringify(file)}\nplugins:\n`,
    async prepare(alias) {
      const { text } = await domain.mustOperate('token', 'generate', '--spiffe-id', alias);
      const token = /^Token: (\S+)/m.exec(text)?.[1];
      if (token === undefined) throw new Error(`token generate printed no token: ${text}`);
      domain.narrator.ok('bonafide-server token generate: a token that works once');
      writeFileSync(file, token, { mode: 0o600 });
    },
  };
}

/** The authority of the software TPM stands for a manufacturer's. It has no firmware that would have written a boot log. */
function tpmProof(domain, { device, roots }) {
  return {
    words: 'its TPM',
    device,
    serverConfig: `    tpm:
      ek_roots: ${JSON.stringify(roots)}
      policy:
        event_log: optional
`,
    agentConfig: `plugins:\n  NodeAttestor:\n    tpm:\n      device: ${JSON.stringify(device)}\n`,
    /** The alias goes to whichever node proves that it has this TPM. */
    async prepare(alias) {
      const info = ['tpm', 'info', '--device', device, '--output', 'json'];
      const { isOk, text } = await run(process.execPath, [program('agent'), ...info], { cwd: root });
      if (!isOk) throw new Error(`bonafide-agent tpm info failed: ${text}`);
      const { ek_hash: ekHash } = JSON.parse(text);
      domain.narrator.ok(`bonafide-agent tpm info: the TPM's endorsement key is ${ekHash.slice(0, 16)}…`);
      const selector = ['--selector', `tpm:ek_hash:${ekHash}`];
      await domain.mustOperate('entry', 'create', '--node', '--spiffe-id', alias, ...selector);
      domain.narrator.ok(`${alias} is for the node with this TPM`);
    },
  };
}
