// OpenAI's JavaScript client: answers, streams, tools, schemas, embeddings, refusals.
import assert from 'node:assert/strict';
import test from 'node:test';
import OpenAI from 'openai';
import { zodResponseFormat } from 'openai/helpers/zod';
import { Person, served, weatherParameters } from './served.mjs';

const client = new OpenAI({ maxRetries: 0 });
const asking = (content, fields = {}) => ({
  model: served.model,
  temperature: 0,
  messages: [{ role: 'user', content }],
  ...fields,
});
const weatherTool = {
  type: 'function',
  function: { name: 'get_weather', description: 'Get the weather', parameters: weatherParameters },
};

test('a stream says what the answer says, and counts it alike', async () => {
  const asked = asking('What is the capital of France?');
  const whole = await client.chat.completions.create(asked);
  const stream = await client.chat.completions.create({
    ...asked,
    stream: true,
    stream_options: { include_usage: true },
  });
  let text = '';
  let usage;
  for await (const chunk of stream) {
    text += chunk.choices[0]?.delta?.content ?? '';
    usage = chunk.usage ?? usage;
  }
  assert.match(text, /Paris/);
  assert.equal(text, whole.choices[0].message.content);
  assert.equal(usage.completion_tokens, whole.usage.completion_tokens);
});

test('parse gives a value', async () => {
  const format = zodResponseFormat(Person, 'person');
  const answer = await client.chat.completions.parse(
    asking(served.personQuestion, { response_format: format }),
  );
  assert.deepEqual(answer.choices[0].message.parsed, served.person);
});

test('a tool is called', async () => {
  const answer = await client.chat.completions.create(
    asking(served.weatherQuestion, { tools: [weatherTool] }),
  );
  const [call] = answer.choices[0].message.tool_calls;
  assert.deepEqual(JSON.parse(call.function.arguments), served.weatherArguments);
});

test('the stream helper gathers a tool call', async () => {
  const stream = client.chat.completions.stream(
    asking(served.weatherQuestion, { tools: [weatherTool] }),
  );
  const message = await stream.finalMessage();
  const [call] = message.tool_calls;
  assert.deepEqual(JSON.parse(call.function.arguments), served.weatherArguments);
});

test('models are listed, texts completed and embedded', async () => {
  const ids = [];
  for await (const model of client.models.list()) ids.push(model.id);
  assert.ok(ids.includes(served.model));
  assert.equal((await client.models.retrieve(served.model)).id, served.model);
  const text = await client.completions.create({
    model: served.model,
    prompt: 'The capital',
    max_tokens: 4,
  });
  assert.ok(text.usage.total_tokens > 0);
  const vectors = await client.embeddings.create({ model: served.embeddings, input: ['a', 'b'] });
  assert.deepEqual(vectors.data.map((each) => each.embedding.length), [384, 384]);
});

test('refusals are the classes of the client', async () => {
  const wrong = client.chat.completions.create(asking('Say hello.', { temperature: 3 }));
  await assert.rejects(wrong, (error) => {
    assert.ok(error instanceof OpenAI.BadRequestError);
    assert.equal(error.param, 'temperature');
    return true;
  });
  const unknown = client.chat.completions.create({ ...asking('Say hello.'), model: 'nope' });
  await assert.rejects(unknown, OpenAI.NotFoundError);
  const stranger = new OpenAI({ apiKey: 'pk_live_x', maxRetries: 0 });
  await assert.rejects(stranger.models.list(), OpenAI.AuthenticationError);
});
