import OpenAI from 'openai';
const client = new OpenAI({
  baseURL: 'https://dash.packet.ai/api/v1',
  apiKey: 'pk_live_YOUR_API_KEY',
});
const response = await client.chat.completions.create({
  model: 'auto', // Uses your deployed model
  messages: [
    { role: 'system', content: 'You are a helpful assistant.' },
    { role: 'user', content: 'Hello!' }
  ],
});
console.log(response.choices[0].message.content);
