from openai import OpenAI, APIError, RateLimitError, AuthenticationError
client = OpenAI(
    base_url="https://dash.packet.ai/api/v1",
    api_key="pk_live_YOUR_API_KEY"
)
try:
    response = client.chat.completions.create(
        model="meta-llama/Llama-3.1-8B-Instruct",
        messages=[{"role": "user", "content": "Hello"}]
    )
except AuthenticationError:
    print("Invalid API key - check your credentials")
except RateLimitError:
    print("Rate limited - implement exponential backoff")
except APIError as e:
    print(f"API error: {e.message}")
