from llama_index.llms.openai_like import OpenAILike
llm = OpenAILike(
    api_base="https://dash.packet.ai/api/v1",
    model="auto",
    api_key="pk_live_YOUR_API_KEY"
)
response = llm.complete("Hello, how are you?")
