from openai import OpenAI
client = OpenAI(
    base_url="https://dash.packet.ai/api/v1",
    api_key="pk_live_YOUR_API_KEY"
)
# Single text embedding
response = client.embeddings.create(
    model="text-embedding-ada-002",
    input="Machine learning is a subset of artificial intelligence."
)
embedding = response.data[0].embedding
print(f"Embedding dimension: {len(embedding)}") # e.g., 1536
# Multiple texts at once
response = client.embeddings.create(
    model="text-embedding-ada-002",
    input=[
        "First document about machine learning",
        "Second document about deep learning",
        "Third document about neural networks"
    ]
)
for i, item in enumerate(response.data):
    print(f"Document {i}: {len(item.embedding)} dimensions")
