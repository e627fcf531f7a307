#!/usr/bin/env node
/** The program bonafide-agent. */
import { runAgentProgram } from './cli/program.js';

process.exitCode = await runAgentProgram(process.argv.slice(2));
