// Vercel's AI SDK, by both of its providers for a server such as ours. `createOpenAI()(model)` would
// speak OpenAI's Responses API; `.chat()` is chat completions.
import assert from 'node:assert/strict';
import test from 'node:test';
import { createOpenAI } from '@ai-sdk/openai';
import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import { APICallError, Output, embedMany, generateObject, generateText, jsonSchema, stepCountIs } from 'ai';
import { streamObject, streamText, tool } from 'ai';
import { Person, served, weatherParameters } from './served.mjs';

const { OPENAI_BASE_URL: baseURL, OPENAI_API_KEY: apiKey } = process.env;
const openai = createOpenAI({ baseURL, apiKey });
const compatible = createOpenAICompatible({
  name: 'tokenmill',
  baseURL,
  apiKey,
  includeUsage: true,
  supportsStructuredOutputs: true,
});
const CAPITAL = 'What is the capital of France?';

for (const [name, model] of [
  ['openai', openai.chat(served.model)],
  ['openai-compatible', compatible(served.model)],
]) {
  const asked = { model, temperature: 0, maxRetries: 0 };
  const weather = () => {
    const calls = [];
    const getWeather = tool({
      description: 'Get the weather',
      inputSchema: jsonSchema(weatherParameters),
      execute: async (input) => {
        calls.push(input);
        return 'sunny';
      },
    });
    return { calls, tools: { get_weather: getWeather } };
  };

  test(`${name}: streamText says what generateText says`, async () => {
    const whole = await generateText({ ...asked, prompt: CAPITAL });
    const stream = streamText({ ...asked, prompt: CAPITAL });
    let text = '';
    for await (const piece of stream.textStream) text += piece;
    assert.match(text, /Paris/);
    assert.equal(text, whole.text);
    assert.equal((await stream.usage).outputTokens, whole.usage.outputTokens);
    assert.equal(await stream.finishReason, 'stop');
  });

  test(`${name}: generateObject and generateText with an output give a value`, async () => {
    const prompt = served.personQuestion;
    const made = await generateObject({ ...asked, prompt, schema: Person });
    assert.deepEqual(made.object, served.person);
    const { output } = await generateText({
      ...asked,
      prompt,
      output: Output.object({ schema: Person }),
    });
    assert.deepEqual(output, served.person);
  });

  test(`${name}: streamObject grows into the value`, async () => {
    const stream = streamObject({ ...asked, prompt: served.personQuestion, schema: Person });
    let count = 0;
    for await (const _ of stream.partialObjectStream) count += 1;
    assert.ok(count > 1);
    assert.deepEqual(await stream.object, served.person);
  });

  test(`${name}: a tool is run and its result used`, async () => {
    const { calls, tools } = weather();
    const prompt = served.weatherQuestion;
    const { text } = await generateText({ ...asked, prompt, tools, stopWhen: stepCountIs(3) });
    assert.deepEqual(calls, [served.weatherArguments]);
    assert.match(text, /sunny/i);
  });

  test(`${name}: a streamed tool call is whole`, async () => {
    const { calls, tools } = weather();
    const prompt = served.weatherQuestion;
    const stream = streamText({ ...asked, prompt, tools, stopWhen: stepCountIs(3) });
    assert.match(await stream.text, /sunny/i);
    assert.deepEqual(calls, [served.weatherArguments]);
  });

  test(`${name}: a refusal is an APICallError with our message`, async () => {
    const refused = generateText({ ...asked, prompt: 'Say hello.', temperature: 3 });
    await assert.rejects(refused, (error) => {
      assert.ok(APICallError.isInstance(error));
      assert.equal(error.statusCode, 400);
      assert.match(error.message, /temperature/);
      return true;
    });
  });
}

test('texts are embedded', async () => {
  const model = openai.embedding(served.embeddings);
  const { embeddings } = await embedMany({ model, values: ['a', 'b'] });
  assert.deepEqual(embeddings.map((each) => each.length), [384, 384]);
});
