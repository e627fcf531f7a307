// `npm run quickstart`: a whole trust domain on this machine, in a temporary folder, that explains itself while it works.
// With `--once` it ends by itself, with exit code 0 only if every step held. Only Node's own modules are needed to start it.
import { Domain } from './quickstart/domain.mjs';
import { Narrator } from './quickstart/narrator.mjs';
import { rotate, startWorkloads, tryWhatMustFail } from './quickstart/workloads.mjs';
import { checkSuggestions, suggestions } from './quickstart/suggestions.mjs';
import { setUp } from './setup.mjs';

const isOnce = process.argv.includes('--once');
const narrator = new Narrator();
const stop = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.once(signal, () => stop.abort());

const domain = new Domain({ narrator, signal: stop.signal });
try {
  narrator.title('Bonafide quickstart: a trust domain of your own, on this machine');
  await narrator.step('Set-up: dependencies and build', () => setUp({ say: (line) => narrator.say(line) }));
  await domain.chooseNodeProof();
  await domain.startServer();
  await domain.startAgent();
  await domain.registerWorkloads();
  const workloads = await startWorkloads(domain);
  await tryWhatMustFail(domain, workloads);
  await rotate(domain, workloads);
  const commands = suggestions(domain);
  if (isOnce) {
    await checkSuggestions(domain, commands);
    narrator.title('Every step held.');
  } else {
    narrator.suggest(commands);
    narrator.title(`It keeps running. Ctrl-C ends it and removes ${domain.directory}`);
    await domain.waitForEnd();
  }
} catch (error) {
  if (stop.signal.aborted) narrator.say('interrupted');
  else {
    process.exitCode = 1;
    narrator.fail(error, domain.lastWords());
  }
  if (isOnce) process.exitCode = 1;
} finally {
  await domain.stop();
}
